"""What a run should cost, before it starts: seconds, peak memory and disk, from what was measured of its backbone.

Seconds are those of methods for transfer learning: frozen passes of pictures that are new, the head, views through the
part before the cut, and for every picture trained on a forward and a backward pass through what learns. The constants
below suit a CPU; ``tests/bench/cost.py`` prints by how much whole forecasts miss.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainer.anatomy import Anatomy, told
from trainer.novelty import KEPT
from trainer.plan import MB, Plan
from trainer.recipes import TRANSFORMERS
from zoo.backbone import Card

START = 4.0  # seconds for a worker to load its libraries, and to judge and save at the end
STEPPED = 1.5  # seconds more where it learns by steps: accelerate, the optimizer, a first slow step
ENGINE = 0.8  # seconds to open an exported network where there are new pictures
EXPORT = 1.5  # seconds more to export it first
LEARNING = 4.0  # a forward and a backward pass, in forward passes
BEHIND = 3.3  # the same behind a cut, where activations are small
PREPARED = 0.003  # seconds to cut, scale and mirror a picture for training, beside another core's work
VIEWED = 0.002  # the same for a view that is kept
FITTED = 0.35  # seconds to load what fits heads
HEAD = 4e-9  # seconds a row, a column and a dimension of the smaller of the two, for all candidates of a head
A_HEAD = 0.15  # seconds more for each head
TRIALS = 5  # networks looked at on the way from the probe to the end
SAMPLE = 256  # training pictures that are judged beside the held-out ones
BASE_MB = 890.0  # a worker with its libraries
FITTED_MB = 105.0  # and those of fitting
SHOWN_MB = 67.0  # of decoded pictures, at most, that are mapped at once
MAPPED_MB = 1050.0  # of kept activations, likewise: the system takes them back where others need the memory
COPIES = (
    7  # of the weights that learn: themselves, gradients, momentum, average, start, best, a checkpoint being written
)
LIVE = 0.95  # numbers kept for a number that a layer gives: some are overwritten in place
PASSING = 2.5  # pictures' worth of all layers that a frozen pass of a batch has in memory at once
EARLIER = 0.9  # of a network's weights up to an earlier tap in use
EXACT = 2e9  # bytes that activations at a cut may take in single precision


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many pictures there are in all, to train on, to select by, and of how many the features are known.

    ``exported`` says whether a quicker engine has the network already, ``sets`` which taps a head is fitted to, set by
    set; none for the last tap alone.
    """

    every: int
    train: int
    select: int
    known: int = 0
    exported: bool = True
    sets: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds of a frozen pass over one picture: by the quickest way to run it, and by torch, which trains."""

    frozen: float
    torch: float


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Wall seconds, peak memory and what is written, in megabytes."""

    seconds: float
    memory_mb: float
    disk_mb: float


def cost(plan: Plan, card: Card, sizes: Sizes, speed: Speed, anatomy: Anatomy, scale: float = 1.0) -> Cost:
    """What ``plan`` should cost; where it may end sooner, with the epochs that it usually takes.

    Seconds are to be multiplied by ``scale``, which a budget, being of the wall's, allows for.
    """
    new = max(0, sizes.every - sizes.known)
    seen = new * speed.frozen + (ENGINE + (0.0 if sizes.exported else EXPORT) if new else 0.0)
    passing = PASSING * anatomy.whole * 4 / MB if new else 0.0
    written = new * _features(card) * 4 / MB
    whole = card.params * 1e6 * 4 / MB
    wide = [sum(_width(card, tap) for tap in taps) for taps in sizes.sets] or [card.dim]
    columns = sorted(wide)[len(wide) // 2]  # of several sets it is not known yet which is taken
    known = min(KEPT, sizes.train + sizes.select)
    judged_mb = ((columns + known) * columns * 4 + sizes.every * columns * 2) / MB  # the gate, features of each picture
    fitted = FITTED + sum(_head(sizes.train + sizes.select, many) for many in wide)
    if plan.strategy in ("linear_head", "earlier_layer"):
        room = BASE_MB + FITTED_MB + whole + 6 * (sizes.train + sizes.select) * max(wide) * 8 / MB + passing
        ends_early = bool(sizes.sets) and all(taps[-1] + 1 < len(card.taps) for taps in sizes.sets)
        disk = written + (EARLIER * whole if ends_early else whole) + judged_mb
        return Cost(seconds=START + seen + fitted, memory_mb=room, disk_mb=disk)
    tap = _cut(plan, card)
    share = 1.0 if tap is None else 1 - anatomy.before[tap]
    behind = share * speed.torch
    learning = LEARNING if tap is None else BEHIND
    learning *= 0.8 if plan.strategy == "lora" else 1.0
    shown = PREPARED if tap is None else 0.0
    judged = sizes.select + min(SAMPLE, sizes.train, sizes.select)
    epoch = sizes.train * (learning * behind + shown) + judged * behind
    views = 0.0 if tap is None else (sizes.train * plan.views + sizes.select) * (speed.torch - behind + VIEWED)
    kept_whole = sizes.train + sizes.select if tap is not None else 0
    end = (sizes.every - kept_whole) * speed.torch + kept_whole * behind
    end += TRIALS * sizes.select * behind if plan.wise else 0.0
    begun = START + STEPPED + min(seen, sizes.train * speed.frozen + ENGINE + EXPORT) + fitted + views
    training = usual_epochs(plan) * epoch
    if plan.budget_seconds:
        training = min(training, plan.budget_seconds / scale + epoch)
    weights = whole * (0.1 if plan.strategy == "lora" else share_of_weights(share))
    kept = (anatomy.whole if tap is None else anatomy.kept[tap]) * 4 * plan.batch * LIVE / MB
    numbers = 0 if tap is None else (sizes.train * plan.views + sizes.select) * anatomy.numbers[tap]
    activations = numbers * width(numbers) / MB
    mapped = SHOWN_MB + min(activations, MAPPED_MB)
    return Cost(
        seconds=(begun + training + end),
        memory_mb=BASE_MB + 2 * whole + COPIES * weights + kept + PASSING * anatomy.whole * 4 / MB + mapped,
        disk_mb=written + activations + whole + judged_mb + 4 * weights,
    )


def usual_epochs(plan: Plan) -> float:
    """How many of a plan's epochs are run: from a fitted head the best one comes early, and patience waits after it."""
    return min(plan.epochs, plan.patience + max(2.0, plan.epochs / 5)) if plan.patience else plan.epochs


def width(numbers: int) -> int:
    """Bytes for each of so many numbers of activations: all four where that is little, else two."""
    return 4 if numbers * 4 <= EXACT else 2


def share_of_weights(share: float) -> float:
    """Of the network's weights behind a cut that leaves ``share`` of the time: late layers have most of them."""
    return float(min(1.0, share**0.2))


def _features(card: Card) -> int:
    """How many numbers are kept of a picture, of all taps."""
    return len(card.taps) * card.dim if card.family in TRANSFORMERS else 2 * card.dim


def _width(card: Card, tap: int) -> int:
    """About how many of them are a tap's."""
    last = len(card.taps) - 1
    return card.dim if tap == last else (_features(card) - card.dim) // last


def _head(rows: int, columns: int) -> float:
    return A_HEAD + HEAD * rows * columns * min(rows, columns)


def _cut(plan: Plan, card: Card) -> int | None:
    earlier = card.taps[:-1]
    if plan.strategy != "last_blocks" or not earlier:
        return None
    return earlier.index(plan.cut) if plan.cut in earlier else told(card).deep()
