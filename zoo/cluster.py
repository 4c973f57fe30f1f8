"""A Ray cluster as the studio meets it: joined with its token, its nodes told, what cannot be said in one sentence.

Only processes made for it import Ray: a driver of a run, a child that looks at the nodes. The page never does.
"""

from __future__ import annotations

import importlib
import ipaddress
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import psutil

from zoo.background import ROOT
from zoo.errors import BadPlan
from zoo.settings import ON_CLUSTER, Settings, set_environment, wait_briefly

INSTALL = 'Run: pip install "ray[train]", or choose the engine local.'
NAMED = "Set STUDIO_CLUSTER to the HOST:PORT of its head, or choose the engine local."
KNOCK = 3.0  # seconds for the head to take a connection
LEFT_OUT = (
    ".git",
    ".venv",
    "tests",
    *(f".{tool}_cache" for tool in ("mypy", "ruff", "pytest", "import_linter")),
    ".hypothesis",
    "__pycache__",
)
SPOKEN_THROUGH = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME")


def check(settings: Settings) -> None:
    """See that there is a cluster to join, within seconds and without Ray.

    Raises:
        BadPlan: Ray is not installed, no cluster is named, or none answers; or its token cannot be used.
    """
    if find_spec("ray") is None:
        raise BadPlan("The engine ray needs the package ray, which is not installed here.", INSTALL)
    if ":" not in settings.cluster:
        raise BadPlan("No cluster is named.", NAMED)
    token = settings.cluster_token
    if token is None or not token.is_file():
        raise BadPlan("The cluster's token is missing.", "Set STUDIO_CLUSTER_TOKEN to the file that holds it.")
    if token.stat().st_mode & 0o077:
        raise BadPlan("Others can read the file with the cluster's token.", f"Run: chmod 600 {token}")
    if not answers(settings.cluster):
        raise BadPlan(f"No cluster answers at {settings.cluster}.", "Start its head, or choose the engine local.")


def answers(address: str) -> bool:
    """Whether somebody takes connections there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=KNOCK):
            return True
    except (OSError, ValueError, OverflowError):
        return False


def join(settings: Settings, processors: int = 1) -> Any:
    """Ray, connected to the cluster; its tasks find the studio's code on every node.

    Args:
        processors: CPU threads a task of ours computes with.

    Raises:
        BadPlan: there is none to join, or it does not take our token.
    """
    check(settings)
    set_environment(
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN_PATH=str(settings.cluster_token),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S="5",  # then it asks anew which nodes are left: of the dead it hears late
        RAY_TRAIN_HEALTH_CHECK_INTERVAL_S="1",
        RAY_TRAIN_METRICS_ENABLED="0",
        RAY_RUNTIME_ENV_LOG_TO_DRIVER_ENABLED="0",
    )
    ray = importlib.import_module("ray")  # which is installed by those who want it
    refused: type[Exception] = importlib.import_module("ray.exceptions").AuthenticationError
    try:  # ray.init takes its time over a wrong token
        importlib.import_module("ray._raylet").GcsClient(address=settings.cluster)
    except refused:
        remedy = "Copy the head's token file here, and name it in STUDIO_CLUSTER_TOKEN."
        raise BadPlan(f"The cluster at {settings.cluster} does not take this token.", remedy) from None
    except Exception as error:  # Ray has no one kind for what keeps it from a head; its word is passed on
        raise _unreachable(settings, error) from error
    own = {ON_CLUSTER: "1", "OMP_NUM_THREADS": str(processors), "HF_HUB_OFFLINE": str(int(settings.offline))}
    wait_briefly(own)
    try:
        ray.init(
            address=settings.cluster,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={
                "working_dir": str(ROOT),
                "excludes": list(LEFT_OUT),
                "env_vars": own,
                "worker_process_setup_hook": "zoo.cluster.speak_through_own_interface",
            },
        )
    except Exception as error:  # as above
        raise _unreachable(settings, error) from error
    return ray


def _unreachable(settings: Settings, error: Exception) -> BadPlan:
    said = str(error).strip().partition("\n")[0][:200].rstrip(".")
    remedy = "See that the head runs, with the Ray and the Python of this machine."
    return BadPlan(f"The cluster at {settings.cluster} cannot be joined ({said}).", remedy)


@dataclass(frozen=True)
class Node:
    """A living node: Ray's id of it, its address and what it offers."""

    id: str
    address: str
    cpus: float
    gpus: float


def nodes(ray: Any) -> list[Node]:
    """The living nodes of a joined cluster that have a core or more, by address."""
    living = (one for one in ray.nodes() if one["Alive"])
    has = ((one, one["Resources"].get("CPU", 0.0), one["Resources"].get("GPU", 0.0)) for one in living)
    found = [Node(one["NodeID"], one["NodeManagerAddress"], cpus, gpus) for one, cpus, gpus in has if cpus >= 1]
    return sorted(found, key=lambda node: (node.address, node.id))


def room(ray: Any, cpus: int, gpus: int) -> int:
    """How many processes of so many CPUs and GPUs the cluster's nodes hold, were they idle."""
    return sum(int(min(one.cpus // cpus, one.gpus // gpus if gpus else one.cpus)) for one in nodes(ray))


def speak_through_own_interface() -> None:
    """Let the processes of a run meet at this node's address in the cluster; a host's name may mean the loopback."""
    ray = importlib.import_module("ray")
    address = ipaddress.ip_address(ray.util.get_node_ip_address())
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            if one.family in (socket.AF_INET, socket.AF_INET6) and one.netmask and _within(address, one):
                set_environment(**dict.fromkeys(SPOKEN_THROUGH, name))
                return


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, own: Any) -> bool:
    try:
        plain = own.address.partition("%")[0]
        if str(address) == plain:
            return True
        return address.is_loopback and ipaddress.ip_address(plain).is_loopback
    except ValueError:
        return False
