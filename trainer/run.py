"""A run: what is known of one training, folded from its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, assert_never

from trainer.events import Epoch, Event, Failed, Finished, Noted, Placed, Progress, Started, Step, Stopped
from trainer.explained import early_stop, gap, kept, overfitting
from trainer.plan import Plan

State = Literal["queued", "running", "finished", "stopped", "failed", "lost"]
Point = tuple[int, float]  # step, loss

POINTS = 300  # a curve's points at most: more cannot be seen on a screen


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run as it stands. Times are seconds since 1970, for showing only.

    Attributes:
        plan: None where ``plan.json`` cannot be read; the run has failed then, and says why.
        created: when a person asked for it, which orders the list.
        started: when the present attempt's worker took it up.
        places: on a cluster, each of its processes with its rank, its node and its number there.
        steps: optimizer steps planned; early stopping may end sooner.
        losses: (step, training loss), thinned evenly to ``POINTS``.
        epochs: what each pass came to on the select part.
        notes: what it decided or found on its way, a sentence each.
        stage: where it stands before or after the steps.
        message: one plain sentence.
        test: what ``Finished`` said of the test part.
        seconds: what a finished run took, as the worker measured it.
        peak_rss_mb, peak_gpu_mb, disk_mb: the most memory it took, and what it keeps on the disk at its end, caches
            included, in megabytes, of a million bytes as everywhere.
        eta_seconds: what is left as its pace has it, None where that cannot be told.
        priority: who of the waiting goes first: the higher.
        note: a person's words.
        origin: how it was made from another run ("replay", "duplicate" or ""), and which.
    """

    id: str
    plan: Plan | None
    state: State = "queued"
    message: str = "Waiting for its turn."
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    device: str = ""
    places: tuple[dict[str, Any], ...] = ()
    first_step: int = 0
    step: int = 0
    steps: int = 0
    losses: tuple[Point, ...] = ()
    every: int = 1
    epochs: tuple[Epoch, ...] = ()
    notes: tuple[str, ...] = ()
    stage: Progress | None = None
    stage_began: float = 0.0
    test: dict[str, Any] | None = None
    seconds: float | None = None
    forward_seconds: float | None = None
    peak_rss_mb: float | None = None
    peak_gpu_mb: float | None = None
    disk_mb: float | None = None
    eta_seconds: float | None = None
    priority: int = 0
    note: str = ""
    origin: tuple[str, str] = ("", "")

    @property
    def active(self) -> bool:
        """Whether something can still happen to it by itself."""
        return self.state in ("queued", "running")

    @property
    def resumable(self) -> bool:
        """Whether it can go on from its last checkpoint, or from the start where it has none."""
        return self.plan is not None and self.state in ("stopped", "failed", "lost")

    @property
    def predicted_seconds(self) -> float | None:
        return self.plan.predicted_seconds if self.plan else None

    @property
    def predicted_accuracy(self) -> float | None:
        return self.plan.predicted_accuracy if self.plan else None

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights are kept."""
        return kept(self.epochs)

    @property
    def outcome(self) -> dict[str, Any] | None:
        """What was foretold of it and what it achieved, as ``zoo.record.outcomes`` takes it; None until it is known."""
        accuracy = (self.test or {}).get("accuracy")
        if self.state != "finished" or self.plan is None or not isinstance(accuracy, float):
            return None
        plan = self.plan
        return {
            "dataset": plan.dataset,
            "backbone": plan.backbone,
            "strategy": plan.strategy,
            "seed": plan.seed,
            "n": (self.test or {}).get("n"),
            "achieved": accuracy,
            "predicted": plan.predicted_accuracy,
            "low": plan.predicted_low,
            "high": plan.predicted_high,
        }

    def as_json(self) -> dict[str, Any]:
        """The run as ``python -m trainer runs --json`` prints it."""
        value = asdict(self)
        for inner in ("first_step", "every", "stage_began"):
            del value[inner]
        more = {"resumable": self.resumable, "predicted_seconds": self.predicted_seconds}
        return value | more | {"predicted": self.predicted, "actual": self.actual, "explained": self.explained}

    @property
    def predicted(self) -> dict[str, float | None]:
        """What was told before the start: seconds, megabytes at the peak and on the disk, accuracy."""
        names = ("seconds", "memory_mb", "disk_mb", "accuracy")
        return {name: getattr(self.plan, f"predicted_{name}", None) for name in names}

    @property
    def actual(self) -> dict[str, float | None]:
        """The same as it turned out; None until it is known."""
        memory = self.peak_gpu_mb or self.peak_rss_mb
        accuracy = (self.test or {}).get("accuracy")
        return {"seconds": self.seconds, "memory_mb": memory, "disk_mb": self.disk_mb, "accuracy": accuracy}

    @property
    def explained(self) -> dict[str, Any]:
        """What its curves say in words: the gap between what it learned from and the rest, and why it ended."""
        return {
            "gap": gap(self.epochs[-1]) if self.epochs else None,
            "overfitting": overfitting(self.plan, self.epochs),
            "early_stop": early_stop(self.plan, self.epochs, self.state),
        }

    def after(self, at: float, event: Event) -> Run:
        """This run as it stands once ``event`` has happened, at the time ``at``."""
        match event:
            case Started():
                return self._taken_up(at, event)
            case Placed() | Progress():
                return self._on_its_way(at, event)
            case Step(step=step, loss=loss):
                losses, every = thin(self.losses, self.every, (step, loss))
                eta = _left(at, self.started, step - self.first_step, self.steps - step)
                return replace(
                    self, step=step, losses=losses, every=every, eta_seconds=eta, stage=None, message=self._at(step)
                )
            case Epoch(epoch=epoch, accuracy=accuracy):
                message = f"Epoch {epoch}: right on {accuracy:.1%} of the pictures held out to choose by."
                before = (one for one in self.epochs if one.epoch < event.epoch)  # told anew after a lost node
                return replace(self, epochs=(*before, event), message=message)
            case Noted(message=message):
                known = (note for note in self.notes if note != message)
                return replace(self, notes=(*known, message), message=message)
            case Finished(test=test):
                ended = self._ended(at, "finished", _verdict(test))
                told = ("test", "seconds", "forward_seconds", "peak_rss_mb", "peak_gpu_mb", "disk_mb")
                return replace(ended, **{name: getattr(event, name) for name in told})
            case Stopped() | Failed():
                return self._broken_off(at, event)
            case _:
                assert_never(event)

    def _taken_up(self, at: float, event: Started) -> Run:
        """From a checkpoint: what was learned after it is lost, so its curve is cut back to it."""
        moved = f", on {event.device} where it was on {self.device}" if self.device not in ("", event.device) else ""
        message = f"Resumed from step {event.step}{moved}." if event.step else "Started."
        return replace(
            self,
            state="running",
            message=message,
            started=at,
            ended=None,
            device=event.device,
            first_step=event.step,
            step=event.step,
            steps=event.steps,
            losses=tuple(point for point in self.losses if point[0] <= event.step),
            epochs=tuple(epoch for epoch in self.epochs if epoch.step <= event.step),
            stage=None,
            eta_seconds=self.predicted_seconds,
        )

    def _on_its_way(self, at: float, event: Placed | Progress) -> Run:
        if isinstance(event, Placed):
            nodes = list(dict.fromkeys(str(worker.get("node")) for worker in event.workers))
            message = f"On {len(nodes)} node{'s' * (len(nodes) > 1)}: {', '.join(nodes)}."
            return replace(self, state="running", places=event.workers, message=message)
        same = self.stage is not None and self.stage.stage == event.stage
        began = self.stage_began if same else at
        message = f"{event.stage[:1].upper()}{event.stage[1:]}: {event.done} of {event.total}."
        eta = self.eta_seconds if self.steps else _left(at, began, event.done, event.total - event.done)
        return replace(self, state="running", stage=event, stage_began=began, message=message, eta_seconds=eta)

    def _broken_off(self, at: float, event: Stopped | Failed) -> Run:
        if isinstance(event, Failed):
            return self._ended(at, "failed", f"{event.problem} {event.remedy}")
        return self._ended(at, "stopped", f"Stopped after step {event.step}; it can be resumed from there.")

    def _at(self, step: int) -> str:
        return f"Step {step} of {self.steps}." if self.steps else f"Step {step}."

    def _ended(self, at: float, state: State, message: str) -> Run:
        return replace(self, state=state, message=message, ended=at, stage=None, eta_seconds=None)


def replay(run: Run, events: Iterable[tuple[float, Event]]) -> Run:
    """``run`` once all of ``events`` have happened, each given with its time."""
    for at, event in events:
        run = run.after(at, event)
    return run


def thin(points: tuple[Point, ...], every: int, newest: Point) -> tuple[tuple[Point, ...], int]:
    """``points`` with ``newest``, keeping each ``every``-th step only; and ``every``, doubled where they got too many.

    By its step alone is a point kept or dropped, so a curve stays even however often it grows and is thinned.
    The newest point always stays.
    """
    if points and points[-1][0] % every:
        points = points[:-1]
    points = (*points, newest)
    while len(points) > POINTS:
        every *= 2
        points = (*(point for point in points[:-1] if point[0] % every == 0), newest)
    return points, every


def _left(now: float, since: float | None, done: int, left: int) -> float | None:
    """Seconds left at the pace so far; None before there is one, or where the clock was set back."""
    if since is None or done < 1 or now < since or left < 0:
        return None
    return (now - since) / done * left


def _verdict(test: dict[str, Any]) -> str:
    accuracy, n = test.get("accuracy"), test.get("n")
    if not isinstance(accuracy, (int, float)) or not isinstance(n, int):
        return "Finished."
    return f"Right on {accuracy:.1%} of {n} test pictures it had never seen."
