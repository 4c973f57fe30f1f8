"""A run's process on a node that does not see the studio's home: what it needs is brought, what it makes goes back.

Pictures and a person's own weights come from a process beside the driver, each at most once to a node, which keeps them
where comparisons do; checkpoints and what is made go through the storage (``trainer.mirror``).
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from trainer.folder import RunFolder
from trainer.mirror import Away
from trainer.plan import Plan
from zoo.carried import Carried, Sent
from zoo.nodes import originals
from zoo.settings import Settings, launched_rank
from zoo.storage import Storage, telling
from zoo.store import Store

NAMESPACE = "studio"


def supplies(plan: Plan, settings: Settings, attempt: str) -> Any:
    """Who hands out the run's pictures and weights, on this machine, for as long as somebody holds what is returned."""
    return originals(settings.home, plan.dataset, name=attempt, namespace=NAMESPACE)


@contextmanager
def afar(told: dict[str, Any]) -> Iterator[tuple[RunFolder, Settings, Callable[[], bool]]]:
    """A folder of this process's own for the run, with all that it needs, mirrored while the ``with`` lasts."""
    ray = importlib.import_module("ray")
    node = ray.util.get_node_ip_address()
    carried, source = Carried.here(node), ray.get_actor(told["attempt"], namespace=NAMESPACE)
    plan: Plan = told["plan"]
    carried.dataset(ray.get(source.dataset.remote()), lambda shas: ray.get(source.read.remote(shas, node)))
    weights = ray.get(source.weights.remote(plan.backbone))

    def weight(name: str) -> bytes:
        content: bytes = ray.get(source.weight.remote(plan.backbone, name))
        return content

    carried.keep_weights(plan.backbone, {name: Sent(sha, partial(weight, name)) for name, sha in weights.items()})
    settings = replace(told["settings"], home=carried.store.root)
    run_id = Path(told["run_dir"]).name
    storage = Storage.at(settings.cluster_storage).below("runs", run_id)
    folder = _own(carried.store, run_id)
    try:
        folder.write_plan(plan)
        with telling():
            for name in storage.files():
                if name.startswith("checkpoint/"):
                    storage.get(name, folder.path / name)
        mirror = Away(folder, storage, told["attempt"], first=not launched_rank())
        mirror.start()
        try:
            yield folder, settings, mirror.asked
        finally:
            mirror.close()
    finally:
        shutil.rmtree(folder.path.parent, ignore_errors=True)


def _own(store: Store, run_id: str) -> RunFolder:
    """A fresh folder of this process; those of processes that were killed go."""
    for old in store.runs.glob(f".{run_id}-*"):
        if not psutil.pid_exists(int(old.name.rpartition("-")[2])):
            shutil.rmtree(old, ignore_errors=True)
    path = store.runs / f".{run_id}-{os.getpid()}" / run_id
    path.mkdir(parents=True)
    return RunFolder(path)
