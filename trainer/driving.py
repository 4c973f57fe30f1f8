"""The driver of one run on a cluster: Ray Train's TorchTrainer around the same worker that a single machine runs.

Every process on the nodes finds plan, pictures and checkpoint in the studio's home, where they share it with this
machine, or is brought them (``trainer.afar``). It goes on from the run's own checkpoint: a node that is lost costs what
was learned since.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.afar import afar, supplies
from trainer.events import Failed, Placed, Progress, Started, Stopped
from trainer.events_log import TERMINAL
from trainer.exhausted import exhausted
from trainer.folder import RunFolder, stop_requested
from trainer.mirror import LEASE, OF_RAY, Home
from trainer.plan import Plan
from zoo import cluster
from zoo.errors import BadPlan, StudioError
from zoo.node_work import kind
from zoo.settings import Settings, launched_rank
from zoo.storage import Storage
from zoo.store import new_id, read_json, write_json

LOOK = 1.0  # seconds between looks at the head and at the stop file
SILENT = 10  # looks at which the head did not answer before it is given up
SHARE = "Let all nodes share STUDIO_HOME, at one path, or set STUDIO_CLUSTER_STORAGE to what they all reach."
LOSSES = 5  # times that nodes may be lost in one attempt
LOG = "See log.txt in the run's folder; resume the run from its last checkpoint."
KINDS = (  # of ray.exceptions, what a person makes of them, the surest first
    (("OutOfMemoryError",), "The memory of a node is full.", "Resume it with more there, or start a smaller batch."),
    (
        ("OutOfDiskError", "ObjectStoreFullError"),
        "The disk of a node is full.",
        "Make room there, then resume the run.",
    ),
    (
        ("RuntimeEnvSetupError",),
        "A node cannot take the studio's code.",
        "See that each has the Python of this machine and what requirements.txt names.",
    ),
    (
        ("RayActorError", "NodeDiedError", "LocalRayletDiedError", "WorkerCrashedError"),
        "Processes or nodes of the run were lost, more than can be made up for.",
        "See that the cluster's nodes stay; the run can be resumed from its last checkpoint.",
    ),
)


def drive(folder: RunFolder, settings: Settings) -> None:
    """Hand the run to the cluster, and stay until it has ended there.

    Raises:
        StudioError: it cannot be carried out there.
    """
    plan = folder.plan()
    cluster.check(settings)
    where = settings.cluster_storage
    storage = Storage.at(where).below("runs", folder.id) if where else None
    folder.log.append(Progress(stage="joining the cluster", done=0, total=1))
    ray = cluster.join(settings, plan.worker_cpus)
    watch = Watch(folder, settings.cluster, Home(folder, storage) if storage else None)
    try:
        _enough(ray, plan)
        watch.begin()
        told = {"run_dir": str(folder.path), "plan": plan, "attempt": watch.attempt}
        told |= {"settings": replace(settings, auth=())}
        kept = supplies(plan, settings, watch.attempt) if storage else None
        try:
            _trainer(plan, folder, storage, told).fit()
        except Exception as error:  # of any kind: what a node met, in words of Ray
            watch.end()
            if not watch.ended():
                raise _ended(error, settings) from error
        del kept  # until here the nodes could ask it
    finally:
        watch.end()
        ray.shutdown()


def _enough(ray: Any, plan: Plan) -> None:
    """See that the cluster's nodes could ever hold the run; whether they are idle is its queue's business."""
    room = cluster.room(ray, plan.worker_cpus, plan.worker_gpus)
    if room < plan.processes:
        each = f"{plan.worker_cpus} CPU" + (f" and {plan.worker_gpus} GPU" if plan.worker_gpus else "")
        raise BadPlan(
            f"The cluster is too small: of {plan.processes} processes of {each} its nodes hold {room}.",
            f"Add nodes, or choose {room} processes." if room else "Add nodes, or ask for less of each.",
        )


def _trainer(plan: Plan, folder: RunFolder, storage: Storage | None, told: dict[str, Any]) -> Any:
    train, torch = importlib.import_module("ray.train"), importlib.import_module("ray.train.torch")
    each = {"CPU": plan.worker_cpus} | ({"GPU": plan.worker_gpus} if plan.worker_gpus else {})
    return torch.TorchTrainer(
        on_a_node,
        train_loop_config=told,
        torch_config=torch.TorchConfig(backend="nccl" if plan.worker_gpus else "gloo", timeout_s=300),
        scaling_config=train.ScalingConfig(
            num_workers=(1, plan.processes) if plan.processes > 1 else 1,  # a run goes on with the nodes that are left
            use_gpu=plan.worker_gpus > 0,
            resources_per_worker=each,
            placement_strategy="SPREAD",
        ),
        run_config=train.RunConfig(
            name=OF_RAY,
            storage_path=storage.root if storage else str(folder.path),
            storage_filesystem=storage.arrow() if storage else None,
            failure_config=train.FailureConfig(max_failures=LOSSES),
        ),
    )


def on_a_node(told: dict[str, Any]) -> None:
    """What each of the run's processes does. What a person can be told of its end is the run's last event."""
    from trainer.work import work

    first, places = not launched_rank(), _gathered()
    with (afar if told["settings"].cluster_storage else at_home)(told) as (folder, settings, stop):
        plan = folder.plan()
        if first:
            folder.log.append(Placed(workers=places))
        plan_threads = plan.worker_cpus * plan.processes  # of which the worker takes its share
        try:
            work(folder.path, replace(settings, threads=plan_threads), stop)
        except (StudioError, OSError, MemoryError, RuntimeError) as error:
            failed = error if isinstance(error, StudioError) else exhausted(error)
            if failed is None:
                raise  # a neighbour was lost, most likely: Ray starts again with those that are left
            if first:
                folder.log.append(Failed(problem=failed.problem, remedy=failed.remedy))


@contextmanager
def at_home(told: dict[str, Any]) -> Iterator[tuple[RunFolder, Settings, Callable[[], bool]]]:
    """The run's folder in the studio's home, which the node shares."""
    folder = RunFolder(Path(told["run_dir"]))
    if not folder.path.is_dir():
        node = importlib.import_module("ray").util.get_node_ip_address()
        raise BadPlan(f"Node {node} does not see the run's folder.", SHARE)
    yield folder, told["settings"], _stop(folder, told["attempt"])


def _gathered() -> tuple[dict[str, Any], ...]:
    """Each process of the run, its node and its number there, the same on all of them."""
    from torch import distributed

    node = importlib.import_module("ray").util.get_node_ip_address()
    mine = {"rank": launched_rank() or 0, "node": node, "pid": os.getpid(), "kind": kind()}
    if not distributed.is_initialized():
        return (mine,)
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, mine)
    return tuple(found)


def _stop(folder: RunFolder, attempt: str) -> Callable[[], bool]:
    """Whether a person wants it to stop; an end at once where this attempt was given up."""

    def asked() -> bool:
        if (read_json(folder.path / LEASE) or {}).get("attempt") != attempt:
            raise RuntimeError("The driver of this run is gone.")
        return stop_requested(folder.path)

    return asked


class Watch(threading.Thread):
    """The driver's eye on the head, on what a person asks for and, without a shared home, on what the nodes tell."""

    def __init__(self, folder: RunFolder, address: str, home: Home | None) -> None:
        super().__init__(daemon=True)
        self.attempt = new_id()
        self._folder, self._address, self._home = folder, address, home
        self._begun = folder.size()
        self._tail = folder.tail(self._begun)
        self._placed = self._told = self._over = self._open = False

    def begin(self) -> None:
        """Take the run's folder over, and look from now on.

        Raises:
            BadPlan: the storage by which the nodes are told cannot be used.
        """
        write_json(self._folder.path / LEASE, {"attempt": self.attempt})
        if self._home is not None:
            self._home.begin(self.attempt)
        self._open = True
        self.start()

    def end(self) -> None:
        """Give the folder back, with everything in it; its processes end wherever they are.

        Raises:
            OSError: this machine has no room for what they made.
        """
        self._over = True
        with suppress(OSError):
            (self._folder.path / LEASE).unlink(missing_ok=True)
        if self._home is None or not self._open:
            return
        try:
            self._home.end()
        except Exception as error:  # of a storage that is gone: what came from it is here
            if exhausted(error) is not None:
                raise

    def ended(self) -> bool:
        """Whether the run itself told its end in this attempt."""
        return any(isinstance(event, TERMINAL) for _, event in self._folder.tail(self._begun).read())

    def run(self) -> None:
        silent = 0
        while silent < SILENT:
            time.sleep(LOOK)
            if self._over:
                return
            silent = 0 if cluster.answers(self._address) else silent + 1
            self._pass_on()
            self._placed = self._placed or any(isinstance(event, Placed) for _, event in self._tail.read())
            if not self._placed and stop_requested(self._folder.path):
                self._leave(Stopped(step=self._reached()), 0)
        gone = _headless(self._address)
        self._leave(Failed(problem=gone.problem, remedy=gone.remedy), 2)

    def _reached(self) -> int:
        """The step that an earlier attempt's checkpoint is of."""
        told = [event.step for _, event in self._folder.tail().read() if isinstance(event, Started | Stopped)]
        return told[-1] if told else 0

    def _pass_on(self) -> None:
        if self._home is None:
            return
        with suppress(Exception):  # a storage that fails now may answer the next time
            self._home.receive()
            if not self._told and stop_requested(self._folder.path):
                self._home.tell(self.attempt, stop=True)
                self._told = True

    def _leave(self, word: Stopped | Failed, status: int) -> None:
        """End the driver, and by the lease its processes wherever they are."""
        with suppress(OSError):
            self.end()
        with suppress(OSError):
            self._folder.log.append(word)
        os._exit(status)


def _headless(address: str) -> BadPlan:
    remedy = "Start the cluster again, then resume the run: it goes on from its last checkpoint."
    return BadPlan(f"The head of the cluster at {address} is gone.", remedy)


def _ended(error: Exception, settings: Settings) -> StudioError:
    if not cluster.answers(settings.cluster):
        return _headless(settings.cluster)
    met = list(_met(error))
    for one in met:
        if isinstance(one, StudioError):  # a process said itself what it cannot do
            return one
    ray = importlib.import_module("ray.exceptions")
    for kinds, problem, remedy in KINDS:
        if any(isinstance(one, getattr(ray, kind)) for one in met for kind in kinds):
            return BadPlan(problem, remedy)
    said = str(met[-1]).strip().splitlines() or [""]
    word = f"{type(met[-1]).__name__}: {said[-1].strip()}".rstrip(".: ")[:300]
    return BadPlan(f"The cluster gave the run up ({word}).", LOG)


def _met(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and what led to it, as Ray's kinds keep that: of each process, of the controller, of a task."""
    if error is None:
        return
    yield error
    found = [*getattr(error, "worker_failures", {}).values()]
    found += [getattr(error, name, None) for name in ("controller_failure", "health_check_failure", "cause")]
    for one in {id(one): one for one in (*found, error.__cause__) if isinstance(one, BaseException)}.values():
        yield from _met(one)
