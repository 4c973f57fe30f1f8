"""Backpropagation through the network, on accelerate: stops early, keeps its best, and resumes to the bit.

One process or many, CPU or GPU, full or mixed precision. A checkpoint holds everything the next step depends on:
weights, their moving average, the optimizer, the position in the epoch, and the random state of CPU and GPU. Where
memory runs out, the step is begun again with its batches in smaller pieces, which changes nothing that is learned.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.acceleration import (
    accelerator_for,
    compiles,
    keep_nothing,
    lighten,
    note_pieces,
    out_of_memory,
    pieces_of,
    release,
)
from trainer.batches import Augmented, Batch, Material, batches, order, ready
from trainer.checkpoint import Checkpoints, restore_random
from trainer.events import Epoch, Event, Noted, Started, Step, Stopped
from trainer.explained import NOTHING_LEFT
from trainer.interpolation import interpolated, weights_of
from trainer.job import Job
from trainer.judge import Judge, diverged
from trainer.loss import Loss, blended
from trainer.optimizer import optimizer_for, share_of_rate
from trainer.sharding import holding
from zoo.errors import BadPlan, StudioError

if TYPE_CHECKING:
    import torch
    from torch import nn

FROZEN_NORM_BELOW = 2_000  # training pictures; batch statistics of fewer are noisier than the pretraining's
SAVE_EVERY = 20.0  # wall seconds between checkpoints inside an epoch, at least
SAVING = 0.02  # of the time, at most, goes into checkpoints inside an epoch; five times as much at the end of epochs
CLIP = 1.0
UNREAD = 10  # steps on a GPU before their losses are read, which makes it wait


@dataclass
class Position:
    """Where training stands; the part of a checkpoint that is not tensors.

    ``pieces`` are what each batch is cut into so that it fits into memory; positions do not depend on it. They do on
    how many ``processes`` share a step; 0 in checkpoints that do not say.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    spent: float = 0.0
    seen: int = 0
    right: int = 0
    loss_sum: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = -1
    pieces: int = 1
    processes: int = 0
    history: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Unread:
    """A step whose loss nobody has read yet: its pictures on all processes, and what ``_step`` counted on this one."""

    step: int
    rate: float
    pictures: int
    counted: torch.Tensor


def finetune(
    job: Job, network: nn.Module, material: Material | None = None
) -> Generator[Event, None, nn.Module | None]:
    """Train what of ``network`` requires gradients; its value is it with the best weights.

    That is None after a ``Stopped``, and where the processes hold shares of the network on all but the first.

    Args:
        material: what it is trained on, the job's pictures unless told.
    """
    tuning = _Tuning(job, network, material or Augmented(job))
    plan, at = job.plan, tuning.at
    yield tuning.started()
    try:
        while at.epoch < plan.epochs and not tuning.settled() and not tuning.spent():
            begun = time.perf_counter()
            for event in tuning.epoch():
                yield event
                if isinstance(event, Stopped):
                    return None
            yield tuning.judged(time.perf_counter() - begun)
        yield from tuning.end()
        return tuning.best()
    finally:
        tuning.close()


class _Tuning:
    """The moving parts of one fine-tuning."""

    def __init__(self, job: Job, network: nn.Module, material: Material) -> None:
        import torch
        from timm.utils import ModelEmaV3

        plan = job.plan
        self.job, self.plan, self.material = job, plan, material
        torch.manual_seed(plan.seed)
        self.accelerator = accelerator_for(plan, job.folder)
        several, device = self.accelerator.num_processes, self.accelerator.device
        self.rows = job.split.of("train")
        self.judge = Judge(job, material, device, self.first)
        if len(self.rows) < several:
            raise BadPlan(f"{len(self.rows)} training pictures are too few to share.", "Use one process.")
        self.size = min(plan.batch, max(1, len(self.rows) // several))
        self.steps = math.ceil(len(self._batches(0)) / plan.accumulate) * plan.epochs
        self.frozen_norm = len(self.rows) < FROZEN_NORM_BELOW or self.size < 32
        if plan.checkpointing:
            lighten(network)
        self.average = ModelEmaV3(network, decay=1 - 1 / max(2.0, self.steps * plan.ema) if plan.ema else 0.0)
        if compiles(plan, self.steps, device.type):
            network.compile()
        self.network, self.held = network, holding(plan, self.accelerator)
        self.model = self.held.spread(network, self.average)
        self.start = weights_of(network) if plan.wise else None
        optimizer = optimizer_for(network, plan)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share_of_rate(step, self.steps))
        self.optimizer = self.accelerator.prepare(optimizer)
        self.weights = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.loss = Loss(plan, job.dataset.y[self.rows], len(job.dataset.classes), device)
        self.checkpoints = Checkpoints(job.folder / "checkpoint", self.accelerator.is_main_process)
        self.at = self._resumed()
        self.at.pieces = max(self.at.pieces, pieces_of(job.folder / "checkpoint"))
        self.unread: list[Unread] = []
        self.saved, self.saving = time.perf_counter(), 0.0

    def started(self) -> Started:
        return Started(
            step=self.at.step,
            steps=self.steps,
            epochs=self.plan.epochs,
            device=str(self.accelerator.device),
            processes=self.accelerator.num_processes,
            precision=str(self.accelerator.mixed_precision),
            pid=self.job.pid,
        )

    def settled(self) -> bool:
        """Whether early stopping ends it: no better epoch for ``patience`` epochs, or none can be seen to be better."""
        at, patience = self.at, self.plan.patience
        return bool(patience and at.history) and (
            at.epoch - 1 - at.best_epoch >= patience or at.best_loss < NOTHING_LEFT
        )

    def spent(self) -> bool:
        """Whether the budget of wall seconds is used up."""
        budget = self.plan.budget_seconds
        return budget is not None and self.agreed(self.at.spent > budget)

    def epoch(self) -> Iterator[Event]:
        """The rest of the current epoch, with its batches in ever smaller pieces where memory runs out."""
        while True:
            try:
                yield from self._rest()
                return
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self.at.pieces >= self.size:
                    raise
            yield self._relieved()

    def _rest(self) -> Iterator[Event]:
        at, plan, accelerator = self.at, self.plan, self.accelerator
        self._train_mode()
        mine = self._batches(at.epoch)
        gpu = accelerator.device.type == "cuda"
        threads = max(1, min(8, self.job.settings.threads - 1))
        with closing(ready(mine[at.batch :], self.material, at.epoch, threads, pin=gpu)) as loader:
            since = time.perf_counter()
            while at.batch < len(mine):
                count = min(plan.accumulate, len(mine) - at.batch)
                counted = self._step(islice(loader, count), count)
                rate = self.optimizer.param_groups[-1]["lr"]
                self.unread.append(Unread(at.step + 1, rate, count * self.size * accelerator.num_processes, counted))
                self.schedule.step()
                self.held.follow(self.network, self.average, at.step)
                at.step, at.batch = at.step + 1, at.batch + count
                if gpu and len(self.unread) < UNREAD and at.batch < len(mine):
                    continue
                yield from self._read()
                at.spent, since = at.spent + time.perf_counter() - since, time.perf_counter()
                if self.agreed(self.job.stop()):
                    self._save()
                    yield Stopped(step=at.step)
                    return
                if self.agreed(time.perf_counter() - self.saved > max(SAVE_EVERY, self.saving / SAVING)):
                    self._save()

    def _batches(self, epoch: int) -> list[NDArray[np.int64]]:
        plan, many, rank = self.plan, self.accelerator.num_processes, self.accelerator.process_index
        ordered = order(self.rows, self.job.dataset.y, plan.seed, epoch, plan.balance == "sample")
        return batches(ordered, self.size, many, rank, plan.accumulate)

    def _step(self, group: Iterator[Batch], count: int) -> torch.Tensor:
        """One optimizer step over ``count`` batches: (2,) mean loss, and how many pictures were right."""
        import torch

        accelerator, device, at = self.accelerator, self.accelerator.device, self.at
        piece = math.ceil(self.size / at.pieces)
        counted = torch.zeros(2, device=device)
        for number, (arrays, labels) in enumerate(group):
            x = self.material.inputs(arrays, device)
            seed = (self.plan.seed, at.epoch, at.batch + number, accelerator.process_index)
            x, target = blended(x, labels.to(device, non_blocking=True), self.plan.mixup, seed)
            for first in range(0, len(x), piece):
                part = slice(first, first + piece)
                last = number + 1 == count and first + piece >= len(x)
                with nullcontext() if last else accelerator.no_sync(self.model):
                    with accelerator.autocast():
                        said = self.model(x[part])
                    loss = self.loss(said.float(), target[part]).sum() / (count * self.size)
                    accelerator.backward(loss)
                right = (said.detach().argmax(1) == target.first[part]).sum()
                counted += torch.stack([loss.detach(), right.float()])
        accelerator.clip_grad_norm_(self.weights, CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return counted

    def _read(self) -> Iterator[Step]:
        """Tell the steps that nobody has heard of yet."""
        import torch

        if not self.unread:
            return
        several, at = self.accelerator.num_processes, self.at
        table = torch.stack([one.counted for one in self.unread])
        if several > 1:
            table = self.accelerator.reduce(table, "sum")
        unread, self.unread = self.unread, []
        for one, (losses, right) in zip(unread, table.tolist(), strict=True):
            loss = losses / several
            if not math.isfinite(loss):
                raise diverged()
            at.loss_sum, at.right = at.loss_sum + loss * one.pictures, at.right + int(right)
            at.seen += one.pictures
            self._track({"train/loss": loss, "train/rate": one.rate}, one.step)
            yield Step(step=one.step, epoch=at.epoch + 1, loss=loss, learning_rate=one.rate)

    def _relieved(self) -> Noted:
        """Make room, and cut batches into twice as many pieces.

        Raises:
            StudioError: several processes train, and the others wait for this one.
        """
        self.optimizer.zero_grad()
        keep_nothing()
        release()
        at = self.at
        at.pieces *= 2
        size = math.ceil(self.size / at.pieces)
        if self.accelerator.num_processes > 1:
            note_pieces(self.job.folder / "checkpoint", at.pieces)
            raise StudioError("Memory ran out.", f"Resume the run: it goes on with {size} pictures at a time.")
        return Noted(
            step=at.step,
            message=f"Memory ran out, so a step now takes its {self.size * self.plan.accumulate} pictures {size} at a "
            "time: slower, and what is learned stays the same.",
        )

    def judged(self, seconds: float) -> Epoch:
        """Measure the averaged weights on the select part, keep them if they are the best, close the epoch."""
        at, found = self.at, self.judge.measure(self.average.module)
        better = found.loss < at.best_loss
        if better:
            at.best_loss, at.best_epoch = found.loss, at.epoch
            self.checkpoints.save_best(self.held.whole(self.average.module.state_dict()))
        at.history.append(found.loss)
        at.epoch += 1
        event = Epoch(
            epoch=at.epoch,
            step=at.step,
            train_loss=at.loss_sum / max(at.seen, 1),
            train_accuracy=at.right / max(at.seen, 1),
            seconds=seconds,
            best=better,
            **vars(found),
        )
        at.batch = at.seen = at.right = 0
        at.loss_sum = 0.0
        self._track({"select/loss": found.loss, "select/accuracy": found.accuracy, "gap": found.gap}, at.step)
        if self.agreed(time.perf_counter() - self.saved > 10 * self.saving):
            self._save()
        return event

    def end(self) -> Iterator[Event]:
        """Give the averaged network the best weights, or better ones on the way to them."""
        average = self.average.module
        self.accelerator.wait_for_everyone()
        best = self.held.told(self.checkpoints.best)
        if best is not None:
            self.held.load(average, best)
        if self.start is not None and self.at.best_epoch >= 0:
            yield from interpolated(average, self.start, self.judge.loss, self.at.best_loss, self.at.step)

    def best(self) -> nn.Module | None:
        """The averaged network, done; None where another process has it."""
        average = self.held.done(self.average.module)
        return None if average is None else average.requires_grad_(False).eval()

    def close(self) -> None:
        """Let go of what the device holds for training only, stopped or done."""
        if self.plan.tracker != "none":
            self.accelerator.end_training()
        self.accelerator.free_memory()
        del self.model, self.network, self.optimizer, self.schedule, self.weights, self.unread
        release()

    def _train_mode(self) -> None:
        from torch.nn.modules.batchnorm import _BatchNorm

        self.model.train()
        for module in self.model.modules():
            own = list(module.parameters())
            frozen = own and not any(parameter.requires_grad for parameter in own)
            if frozen or (self.frozen_norm and isinstance(module, _BatchNorm)):
                module.eval()

    def _track(self, values: dict[str, float], step: int) -> None:
        if self.plan.tracker != "none":
            self.accelerator.log(values, step=step)

    def first(self, mine: float) -> float:
        """The first process's value, on all of them."""
        import torch

        if self.accelerator.num_processes == 1:
            return mine
        told = mine if self.accelerator.is_main_process else 0.0
        said = torch.tensor(told, dtype=torch.float32, device=self.accelerator.device)
        return float(self.accelerator.reduce(said, "sum").item())

    def agreed(self, mine: bool) -> bool:
        """What the first process thinks, on all of them."""
        return bool(self.first(float(mine)))

    def _save(self) -> None:
        begun = time.perf_counter()
        state = {
            "model": self.network.state_dict(),
            "average": self.average.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": json.dumps(self.schedule.last_epoch),
            "position": json.dumps(vars(self.at)),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else {},
        }
        self.checkpoints.save(self.at.step, self.held.whole(state))
        self.accelerator.wait_for_everyone()
        self.saved = time.perf_counter()
        self.saving = self.saved - begun

    def _resumed(self) -> Position:
        state = self.held.told(self.checkpoints.newest)
        several = self.accelerator.num_processes
        if state is None:
            return Position(processes=several)
        restore_random(state)
        self.held.load(self.network, state["model"])
        self.held.load(self.average.module, state["average"])
        self.held.load_optimizer(self.optimizer, state["optimizer"])
        self.schedule.last_epoch = json.loads(state["schedule"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        at = Position(**json.loads(state["position"]))
        if at.processes not in (0, several):  # a node was lost or came back: as many pictures were seen as there were
            at.step, at.batch = at.step * at.processes // several, at.batch * at.processes // several
            self.schedule.last_epoch = at.step
        at.processes = several
        return at
