"""Backpropagation through the network, on accelerate: stops early, keeps its best, and resumes to the bit.

One process or many, CPU or GPU, full or mixed precision. A checkpoint holds everything the next step depends on:
weights, their moving average, the optimizer, the position in the epoch, and the CPU's random state; on a GPU, dropout
draws from the device's own and a resumed run is equal in distribution only.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainer.batches import Augmented, Batches, Material
from trainer.checkpoint import Checkpoints
from trainer.events import Epoch, Event, Started, Step, Stopped
from trainer.head import log_loss, softmax
from trainer.job import Job
from trainer.networks import logits
from trainer.optimizer import optimizer_for, share_of_rate
from zoo.errors import BadPlan
from zoo.forward import device as best_device
from zoo.probe import accuracy_interval

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from torch import nn

FROZEN_NORM_BELOW = 2_000  # training pictures; batch statistics of fewer are noisier than the pretraining's
SAVE_EVERY = 20.0  # wall seconds between checkpoints inside an epoch
CLIP = 1.0


@dataclass
class Position:
    """Where training stands; the part of a checkpoint that is not tensors."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    spent: float = 0.0
    seen: int = 0
    right: int = 0
    loss_sum: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = -1
    history: list[float] = field(default_factory=list)


def finetune(job: Job, network: nn.Module, material: Material | None = None) -> Iterator[Event | nn.Module]:
    """Train what of ``network`` requires gradients; yield events, then it with the best weights, or a ``Stopped``.

    Args:
        material: what it is trained on, the job's pictures unless told.
    """
    tuning = _Tuning(job, network, material or Augmented(job))
    plan, at = job.plan, tuning.at
    yield tuning.started()
    while at.epoch < plan.epochs and not tuning.settled() and not tuning.spent():
        begun = time.perf_counter()
        for event in tuning.epoch():
            yield event
            if isinstance(event, Stopped):
                return
        yield tuning.judge(time.perf_counter() - begun)
    yield tuning.best()


class _Tuning:
    """The moving parts of one fine-tuning."""

    def __init__(self, job: Job, network: nn.Module, material: Material) -> None:
        import torch
        from timm.utils import ModelEmaV3

        plan = job.plan
        self.job, self.plan, self.material = job, plan, material
        torch.manual_seed(plan.seed)
        self.accelerator = _accelerator(plan.precision, plan.accumulate)
        self.rows = job.split.of("train")
        if not len(job.split.of("select")):
            raise BadPlan("No picture is left to choose the best epoch by.", "Add pictures: eight a class is a start.")
        if len(self.rows) < self.accelerator.num_processes:
            raise BadPlan(f"{len(self.rows)} training pictures are too few to share.", "Use one process.")
        self.size = min(plan.batch, max(1, len(self.rows) // self.accelerator.num_processes))
        per_epoch = max(len(self.rows) // self.size // self.accelerator.num_processes, 1)
        self.steps_an_epoch = math.ceil(per_epoch / plan.accumulate)
        self.steps = self.steps_an_epoch * plan.epochs
        self.frozen_norm = len(self.rows) < FROZEN_NORM_BELOW or self.size < 32
        optimizer = optimizer_for(network, plan)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share_of_rate(step, self.steps))
        self.average = ModelEmaV3(network, decay=1 - 1 / max(2.0, self.steps / 10))
        self.average.to(self.accelerator.device)
        self.model, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.schedule = schedule
        self.checkpoints = Checkpoints(job.folder / "checkpoint", self.accelerator.is_main_process)
        self.at = self._resumed()
        self.saved = time.perf_counter()

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
        """Whether early stopping ends it: no better epoch for ``patience`` epochs."""
        waited = self.at.epoch - 1 - self.at.best_epoch
        return bool(self.plan.patience and self.at.history and waited >= self.plan.patience)

    def spent(self) -> bool:
        """Whether the budget of wall seconds is used up."""
        budget = self.plan.budget_seconds
        return budget is not None and self.agreed(self.at.spent > budget)

    def epoch(self) -> Iterator[Event]:
        """The rest of the current epoch."""
        import torch

        at, plan, accelerator = self.at, self.plan, self.accelerator
        loader = self._loader()
        self._train_mode()
        loss_function = torch.nn.CrossEntropyLoss(label_smoothing=plan.label_smoothing)
        since, losses = time.perf_counter(), list[float]()
        for pictures, labels in loader:
            with accelerator.accumulate(self.model):
                x = self.material.inputs(pictures, accelerator.device)
                truth = labels.to(accelerator.device)
                with accelerator.autocast():
                    said = self.model(x)
                    loss = loss_function(said.float(), truth)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(self.model.parameters(), CLIP)
                self.optimizer.step()
                self.optimizer.zero_grad()
            at.batch += 1
            counted = torch.stack([loss.detach(), (said.argmax(1) == truth).sum().float(), loss.new_tensor(len(x))])
            mean_loss, right, seen = self._together(counted)
            losses.append(mean_loss)
            if not math.isfinite(mean_loss):
                raise diverged()
            at.loss_sum, at.right, at.seen = at.loss_sum + mean_loss * seen, at.right + int(right), at.seen + int(seen)
            if accelerator.sync_gradients:
                rate = self.optimizer.param_groups[-1]["lr"]
                self.schedule.step()
                self.average.update(accelerator.unwrap_model(self.model), step=at.step)
                at.step += 1
                yield Step(step=at.step, epoch=at.epoch + 1, loss=sum(losses) / len(losses), learning_rate=rate)
                losses.clear()
                at.spent += time.perf_counter() - since
                since = time.perf_counter()
                if self.agreed(self.job.stop()):
                    self._save()
                    yield Stopped(step=at.step)
                    return
                if self.agreed(time.perf_counter() - self.saved > SAVE_EVERY):
                    self._save()

    def judge(self, seconds: float) -> Epoch:
        """Measure the averaged weights on the select part, keep them if they are the best, close the epoch."""
        at = self.at
        rows = self.job.split.of("select")
        y, average = self.job.dataset.y[rows], self.average.module
        probabilities = softmax(logits(average, self.material.embed(average, rows, self.accelerator.device)))
        loss = log_loss(probabilities, y)
        right = probabilities.argmax(axis=1) == y
        if not math.isfinite(loss):
            raise diverged()
        better = self.agreed(loss < at.best_loss)  # batch statistics differ a little between processes
        if better:
            at.best_loss, at.best_epoch = loss, at.epoch
            self.checkpoints.save_best(average)
        at.history.append(loss)
        at.epoch += 1
        event = Epoch(
            epoch=at.epoch,
            step=at.step,
            train_loss=at.loss_sum / max(at.seen, 1),
            train_accuracy=at.right / max(at.seen, 1),
            loss=loss,
            accuracy=float(right.mean()),
            interval=accuracy_interval(right, self.job.dataset.groups[rows]),
            seconds=seconds,
            best=better,
        )
        at.batch = at.seen = at.right = 0
        at.loss_sum = 0.0
        self._save()
        return event

    def best(self) -> nn.Module:
        """The averaged network with the weights of the best epoch."""
        average: nn.Module = self.average.module
        self.accelerator.wait_for_everyone()
        self.checkpoints.load_best(average)
        return average.requires_grad_(False).eval()

    def _loader(self) -> Any:
        import torch
        from torch.utils.data import DataLoader

        plan, at = self.plan, self.at
        shown = self.material.dataset(at.epoch)
        several = self.accelerator.num_processes
        batches = Batches(self.rows, self.size, plan.seed, at.epoch, several, at.batch * several)
        own = torch.Generator().manual_seed(plan.seed)  # else each loader draws from the state that dropout needs
        return self.accelerator.prepare_data_loader(DataLoader(shown, batch_sampler=batches, generator=own))

    def _train_mode(self) -> None:
        from torch.nn.modules.batchnorm import _BatchNorm

        self.model.train()
        for module in self.model.modules():
            own = list(module.parameters())
            frozen = own and not any(parameter.requires_grad for parameter in own)
            if frozen or (self.frozen_norm and isinstance(module, _BatchNorm)):
                module.eval()

    def _together(self, counted: torch.Tensor) -> tuple[float, float, float]:
        """Mean loss, and sums of right and seen, over all processes."""
        if self.accelerator.num_processes > 1:
            total = self.accelerator.reduce(counted, "sum")
            counted = total / total.new_tensor([self.accelerator.num_processes, 1, 1])
        loss, right, seen = counted.tolist()
        return loss, right, seen

    def agreed(self, mine: bool) -> bool:
        """What the first process thinks, on all of them."""
        import torch

        if self.accelerator.num_processes == 1:
            return mine
        said = torch.tensor(float(mine and self.accelerator.is_main_process), device=self.accelerator.device)
        return bool(self.accelerator.reduce(said, "sum").item())

    def _save(self) -> None:
        self.saved = time.perf_counter()
        model = self.accelerator.unwrap_model(self.model)
        state = {
            "model": model.state_dict(),
            "average": self.average.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": json.dumps(self.schedule.last_epoch),
            "position": json.dumps(vars(self.at)),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else {},
        }
        self.checkpoints.save(self.at.step, state)
        self.accelerator.wait_for_everyone()

    def _resumed(self) -> Position:
        state = self.checkpoints.newest(self.accelerator.device)
        if state is None:
            return Position()
        self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
        self.average.module.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.last_epoch = json.loads(state["schedule"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        return Position(**json.loads(state["position"]))


def _accelerator(precision: str, accumulate: int) -> Accelerator:
    import torch
    from accelerate import Accelerator, DataLoaderConfiguration

    where = best_device()
    if precision == "auto":
        fast = where.type == "cuda"
        precision = ("bf16" if torch.cuda.is_bf16_supported() else "fp16") if fast else "no"
    return Accelerator(
        cpu=where.type == "cpu",
        mixed_precision=precision,
        gradient_accumulation_steps=accumulate,
        dataloader_config=DataLoaderConfiguration(even_batches=False),
        step_scheduler_with_optimizer=False,
    )


def diverged() -> BadPlan:
    return BadPlan("The training diverged: its loss is no number any more.", "Choose a smaller learning rate.")
