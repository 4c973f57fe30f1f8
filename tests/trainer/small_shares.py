"""A process of a fine-tuning; writes down what it learned, and how much of the network it held.

``python small_shares.py HOME PLAN.json FOLDER STOP_AT``, by torch's launcher where there are several; it stops after
that step, 0 for never. Statistics of BatchNorm move, few as the pictures are.
"""

import json
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import torch

from trainer import finetune
from trainer.events import Epoch, Event, Step
from trainer.job import Job
from trainer.plan import Plan
from trainer.sharding import local
from zoo.settings import Settings, launched_rank

held: dict[str, float] = {}


class Watched(finetune._Tuning):
    """Notes after each epoch what share of all numbers is here, and what the statistics add up to."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.frozen_norm = False

    def judged(self, seconds: float) -> Epoch:
        average = self.average.module
        momentum = [value for values in self.optimizer.state.values() for value in values.values() if value.ndim]
        held["weights"], held["average"] = share(self.network.parameters()), share(average.parameters())
        held["optimizer"] = share(momentum)
        numbers = [*self.network.buffers(), *average.buffers()]
        held["statistics"] = sum(float(value.double().sum()) for value in numbers)
        return super().judged(seconds)


def share(values: Iterable[torch.Tensor]) -> float:
    """Of all numbers in ``values``, how many this process holds."""
    every = list(values)
    return sum(local(value).numel() for value in every) / sum(value.numel() for value in every)


def run(home: Path, plan: Plan, folder: Path, stop_at: int) -> None:
    """Train, and write down what came of it; the network goes to a file of its own."""
    events: list[Event] = []
    steps = 0

    def watched() -> Generator[Event, None, None]:
        learned = yield from finetune.finetune(job, network)
        if learned is not None:
            torch.save(learned.state_dict(), folder / f"network-{rank}.pt")

    stop = lambda: bool(stop_at) and steps >= stop_at  # noqa: E731
    rank = launched_rank() or 0
    job = Job.open(plan, folder, Settings(home=home, offline=True, threads=1), stop)
    torch.manual_seed(0)  # for the head's start
    network = job.backbone.network(len(job.dataset.classes)).requires_grad_(True)
    for event in watched():
        steps += isinstance(event, Step)
        events.append(event)
    losses = [event.loss for event in events if isinstance(event, Step)]
    judged = [event.loss for event in events if isinstance(event, Epoch)]
    found = {"losses": losses, "judged": judged, "held": held}
    (folder / f"process-{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    finetune._Tuning = Watched  # type: ignore[assignment, misc]
    run(Path(sys.argv[1]), Plan.from_json(json.loads(sys.argv[2])), Path(sys.argv[3]), int(sys.argv[4]))
