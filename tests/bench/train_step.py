"""Pictures a second that training gets through, over what a bare PyTorch loop does with tensors already in memory.

The bare loop is the same network from the same start in the same memory layout, batch norm as the studio has it, the
optimizer of the plan: forward, loss, backward, step, on one batch again and again. The studio decodes from its cache,
augments, averages the weights, clips, tells its steps, checkpoints. Both take turns, an epoch each, on the same
cores, and the ratio is that of their median epochs; CPU seconds tell it where others use the machine meanwhile.
``last_blocks`` trains on what its frozen part made of the pictures beforehand, which is told apart.

    python tests/bench/train_step.py [DATA] [--backbone ID] [--epochs N] [--batch B]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
Lap = tuple[float, float]  # wall seconds, CPU seconds of a picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="sample")
    parser.add_argument("--backbone", default="embedded/tf_efficientnet_lite0")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        compare(given, Path(home))


def compare(given: argparse.Namespace, home: Path) -> None:
    from trainer.job import Job
    from trainer.plan import Plan
    from trainer.strategies import strategies
    from zoo.forward import keep_freed_memory, use_threads
    from zoo.intake import SAMPLE, intake
    from zoo.settings import Settings, usable_cores
    from zoo.store import Store

    settings, store = Settings(home=home, offline=True, threads=usable_cores()), Store(home)
    keep_freed_memory()
    use_threads(settings.threads)
    dataset = intake(SAMPLE if given.data == "sample" else Path(given.data), store, settings)
    plan = Plan(
        dataset=dataset.id,
        backbone=given.backbone,
        strategy="full",
        epochs=given.epochs,
        batch=given.batch,
        optimizer="sgd",
        learning_rate=1e-3,
        patience=0,
    )
    job = Job(plan, dataset, store, settings, home / "runs" / "full", lambda: False)
    job.folder.mkdir(parents=True)
    full = Studio(job)
    laps: dict[str, list[Lap]] = {"full": [], "bare": []}
    bare = bare_loop(job)
    for lap in full.laps():
        laps["full"].append(lap)
        laps["bare"].append(bare(full.pictures))
    print(f"{given.backbone}, {full.pictures} training pictures an epoch in batches of {given.batch}, {given.data}")
    told = {name: tell(name, found) for name, found in laps.items()}
    print(
        f"full / bare   {told['bare'][0] / told['full'][0]:.2f} wall, {told['bare'][1] / told['full'][1]:.2f} CPU",
        flush=True,
    )
    if "last_blocks" not in strategies():
        return
    folder = home / "runs" / "last_blocks"
    folder.mkdir()
    cached = Studio(replace(job, plan=replace(plan, strategy="last_blocks", epochs=4 * given.epochs), folder=folder))
    found = tell("last_blocks", list(cached.laps()))
    print(f"last_blocks / full   {told['full'][0] / found[0]:.1f} wall, {told['full'][1] / found[1]:.1f} CPU")
    print(f"(what is frozen was computed beforehand, in {cached.before:.1f} s)")


class Studio:
    """A strategy of the studio's, an epoch at a time."""

    def __init__(self, job: Any) -> None:
        self.job, self.pictures, self.before = job, 0, 0.0

    def laps(self) -> Iterator[Lap]:
        """What a picture took in the steps of each epoch; what follows an epoch, its judging, is not counted."""
        from trainer.events import Epoch, Started, Step
        from trainer.strategies import strategy

        events = strategy(self.job.plan.strategy).fit(self.job)
        began, steps, clock = time.perf_counter(), 0, (0.0, 0.0)
        since = now()
        for event in events:
            if isinstance(event, Started):
                self.before = time.perf_counter() - began
            if isinstance(event, Step):
                steps, clock = steps + 1, plus(clock, since)
            if isinstance(event, Epoch):
                self.pictures = steps * self.job.plan.batch
                yield clock[0] / self.pictures, clock[1] / self.pictures
                steps, clock = 0, (0.0, 0.0)
            since = now()


def bare_loop(job: Any) -> Callable[[int], Lap]:
    """What trains the same network on one batch that is in memory, for so many pictures."""
    import numpy as np
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    from zoo.network import fit, normalised

    network = job.backbone.network(len(job.dataset.classes)).requires_grad_(True).train()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
    rows = job.split.of("train")[: job.plan.batch]
    shown = np.stack([fit(job.pictures[int(index)], job.preprocessing) for index in rows])
    x, y = normalised(shown, job.preprocessing, torch.device("cpu")), torch.from_numpy(job.dataset.y[rows])
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    loss = torch.nn.CrossEntropyLoss()

    def lap(pictures: int) -> Lap:
        since = now()
        for _ in range(pictures // len(x)):
            optimizer.zero_grad()
            loss(network(x), y).backward()
            optimizer.step()
        wall, cpu = plus((0.0, 0.0), since)
        return wall / pictures, cpu / pictures

    return lap


def now() -> Lap:
    return time.perf_counter(), time.process_time()


def plus(clock: Lap, since: Lap) -> Lap:
    wall, cpu = now()
    return clock[0] + wall - since[0], clock[1] + cpu - since[1]


def tell(name: str, laps: list[Lap]) -> Lap:
    """Print the median epoch, the first left out, and hand it back."""
    counted = laps[1:] or laps
    wall, cpu = (statistics.median(lap[side] for lap in counted) for side in (0, 1))
    print(f"{name:<12} {1 / wall:8.1f} pictures/s, {cpu * 1000:7.1f} CPU ms a picture")
    return wall, cpu


if __name__ == "__main__":
    main()
