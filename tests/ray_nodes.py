"""Two real Ray nodes on this machine for tests: ``ray start``, tokens on, dashboard and statistics off, gone after.

Take the fixture ``cluster``, or let ``with Nodes() as cluster`` around a script. Nothing here imports Ray, and every
process of a node carries a mark in its environment, so that it can be killed whole: as by a power cut.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

TOP = Path(__file__).parent.parent
MARK = "STUDIO_TEST_NODE"
START = (sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block")
LOOPBACK = "127.0.0.{}" if sys.platform == "linux" else "127.0.0.1"  # a network of its own that every Linux has
STORE = 80_000_000  # bytes, the least Ray takes
PATIENCE = 180.0  # seconds for a node to be there, on a machine that others keep busy
NEED = find_spec("ray") is None
needs_ray = pytest.mark.skipif(NEED, reason='Ray is not installed: pip install "ray[train]" to test the cluster')
QUICK = {  # a dead node, which refuses connections, is noticed in seconds; one that is merely slow is waited for
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "300",
    "RAY_health_check_timeout_ms": "20000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_worker_niceness": "0",  # Ray's own 15 lets whatever else this machine does go first
}


@dataclass(frozen=True)
class Node:
    """One raylet with its workers; the first has the cluster's head as well."""

    name: str
    address: str
    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        """Its living processes, the workers included."""
        return [one.pid for one in psutil.process_iter() if _mark_of(one) == self.name]

    def kill(self) -> None:
        """End all of it at once, by SIGKILL."""
        for _ in range(50):
            left = self.pids()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                break
            time.sleep(0.05)
        self.process.wait()


class Nodes:
    """A cluster of single-core nodes, one at the start for the head and one more.

    Args:
        home: the studio's home that all nodes share, as runs need it; None where each has a disk of its own.
        bound: let each node run on one core of this machine, in turn.
    """

    def __init__(self, cpus: int = 1, home: Path | None = None, bound: bool = False) -> None:
        self.home, self.bound = home, bound
        self.folder = Path(tempfile.mkdtemp(prefix="rn", dir="/tmp"))  # short: sockets have long names
        self.token = self.folder / "token"
        self.token.touch(mode=0o600)
        self.token.write_text(secrets.token_hex(32))
        self.nodes: list[Node] = []
        with socket.socket() as free:
            free.bind((LOOPBACK.format(2), 0))
            host, port = free.getsockname()
        self.address = f"{host}:{port}"
        head = ("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={self.folder}")
        try:
            self._start(cpus, *head)
            self.add(cpus)
        except BaseException:
            self.close()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """What tells the studio of this cluster."""
        return {"STUDIO_CLUSTER": self.address, "STUDIO_CLUSTER_TOKEN": str(self.token)}

    @property
    def head(self) -> Node:
        return self.nodes[0]

    def home_of(self, name: str) -> Path:
        """The studio's home as the node ``name`` sees it."""
        return self.home or self.folder / "homes" / name

    def add(self, cpus: int = 1) -> Node:
        """One more node."""
        return self._start(cpus, f"--address={self.address}")

    def restore(self, count: int = 2) -> None:
        """See that so many nodes are alive, after a test that killed one; the head has to be."""
        self.nodes = [node for node in self.nodes if node.process.poll() is None]
        while len(self.nodes) < count:
            self.add()

    def close(self) -> None:
        """End every node, and leave nothing behind."""
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _core(self) -> Iterator[None]:
        """What is started meanwhile has one core, if nodes are bound: every thread of it and every child."""
        if not self.bound:
            yield
            return
        every = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {sorted(every)[len(self.nodes) % len(every)]})
        try:
            yield
        finally:
            os.sched_setaffinity(0, every)

    def _start(self, cpus: int, *more: str) -> Node:
        name = f"{self.folder.name}-{len(self.nodes)}-{secrets.token_hex(3)}"
        address = LOOPBACK.format(2 + len(self.nodes))
        told = self.folder / f"{name}.log"
        own = {
            **QUICK,
            MARK: name,
            "PYTHONPATH": os.pathsep.join([str(TOP), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "STUDIO_HOME": str(self.home_of(name)),
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
        ports = [f"--{name}=0" for name in ("min-worker-port", "max-worker-port")]
        with told.open("wb") as log, self._core():
            process = subprocess.Popen(
                [
                    *(*START, *more, *ports, f"--node-ip-address={address}", f"--num-cpus={cpus}", "--num-gpus=0"),
                    *(f"--object-store-memory={STORE}", "--disable-usage-stats", "--include-log-monitor=false"),
                ],
                env=os.environ | own,
                cwd=TOP,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        node = Node(name, address, process)
        self.nodes.append(node)
        until = time.monotonic() + PATIENCE
        while "Ray runtime started" not in (said := told.read_text(errors="replace")):
            assert process.poll() is None, f"the node ended: {said[-3000:]}"
            assert time.monotonic() < until, f"the node did not come: {said[-3000:]}"
            time.sleep(0.1)
        return node


def _mark_of(process: psutil.Process) -> str | None:
    try:
        mark: str | None = process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
    return mark


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """Two real nodes for the tests of a module: ``from tests.ray_nodes import cluster, needs_ray``."""
    with Nodes() as nodes:
        yield nodes
