"""What a comparison found: immutable results, an interval on every accuracy, ties said as ties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.backbone import Card
from zoo.quadrant import HALF_A_POINT, Quadrant

Interval = tuple[float, float]


@dataclass(frozen=True)
class TapScore:
    """Leave-one-out accuracy of a probe on one tap's features."""

    name: str
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class Joined:
    """A probe that reads the last taps together.

    Attributes:
        tap: their names with commas, and the accuracy.
        brier: mean squared left-out error.
        gain: by how much that is less than the last tap's alone, and the ends of its 95 % interval.
    """

    tap: TapScore
    brier: float
    gain: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class ProbeReport:
    """How well one frozen backbone fits the pictures.

    Attributes:
        pictures: how many it was measured on.
        taps: first to last; the last one's accuracy is the backbone's.
        best_tap: the earliest tap within one standard error of the best.
        knn: leave-one-out accuracy of the five nearest neighbours.
        logme, hscore, transrate: of the last tap; None before the last round.
        leep, nce: of the pretrained head's own classes; None where there is no such head. These two and ``transrate``
            are what they are above shuffled labels, so that 0 means nothing is known.
        balanced_accuracy: mean over the classes.
        pretrained: entropy and energy of the pretrained head's answers, as ``doubt`` gives them; None without a head.
        ms_per_picture: wall milliseconds on this machine, by whatever runs it quickest.
        torch_ms_per_picture: the same by torch, which training uses.
        engine: what took ``ms_per_picture``: "torch", "openvino" or "onnxruntime".
        seconds: wall seconds spent on it in this comparison.
        dropped_at: the number of pictures after which it left the tournament, None for a finalist.
        p_best: bootstrap probability of being the most accurate finalist.
        versus_best: None for the best finalist; for the others mid-p of McNemar's exact test against it, and the 95 %
            interval of the difference of balanced accuracies, from paired resamples.
        right: (T, N) which left-out pictures each tap's probe got right.
        together: the last tap's interval such that those of all backbones compared hold at once: the best one was
            picked. None before the end, when it is not known among how many.
        brier: mean squared left-out error of the last tap's scores (Brier 1950): 0 at best.
        joined: the last taps read together; None before the last round, and of very many pictures.
    """

    card: Card
    pictures: int
    taps: tuple[TapScore, ...]
    best_tap: str
    knn: float
    knn_interval: Interval
    logme: float | None
    hscore: float | None
    transrate: float | None
    leep: float | None
    nce: float | None
    balanced_accuracy: float
    ms_per_picture: float
    torch_ms_per_picture: float
    seconds: float
    right: NDArray[np.bool_] = field(repr=False, compare=False)
    engine: str = "torch"
    pretrained: dict[str, Any] | None = None
    dropped_at: int | None = None
    p_best: float | None = None
    versus_best: dict[str, Any] | None = None
    together: Interval | None = None
    brier: float = 0.0
    joined: Joined | None = None

    @property
    def accuracy(self) -> float:
        return self.taps[-1].accuracy

    @property
    def interval(self) -> Interval:
        return self.together or self.taps[-1].interval

    @property
    def least_brier(self) -> float:
        """Of the last tap, or of the last ones joined, whichever errs less."""
        return min(self.brier, self.joined.brier) if self.joined else self.brier

    def as_json(self) -> dict[str, Any]:
        scores = ("knn", "knn_interval", "logme", "hscore", "transrate", "leep", "nce", "balanced_accuracy")
        kept = ("pictures", "best_tap", *scores, "ms_per_picture", "torch_ms_per_picture", "engine", "seconds")
        return (
            {"id": self.card.id, "accuracy": self.accuracy, "interval": self.interval}
            | {"taps": [asdict(tap) for tap in self.taps]}
            | {"brier": self.brier, "joined": asdict(self.joined) if self.joined else None}
            | {name: getattr(self, name) for name in (*kept, "pretrained", "dropped_at", "p_best", "versus_best")}
            | {name: getattr(self.card, name) for name in ("family", "params", "gmacs", "licence", "commercial")}
        )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The tournament as it stands; the last one that ``compare`` yields is its result.

    Attributes:
        chance: accuracy of always naming the largest class.
        ties: ids of the backbones that the data cannot tell from the most accurate, itself included, cheapest first.
        plan: what to train: backbone, strategy, the taps it reads or "", and why.
        unavailable: backbones that could not be had, each with its problem and remedy.
        seconds: wall seconds by stage: decode, forward, probe, total.
    """

    dataset: str
    seed: int
    pictures: int
    held_back: int
    chance: float
    reports: tuple[ProbeReport, ...] = ()
    baseline: ProbeReport | None = None
    ties: tuple[str, ...] = ()
    quadrant: Quadrant | None = None
    plan: dict[str, Any] | None = None
    sentence: str = ""
    unavailable: tuple[dict[str, str], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def ranked(self) -> list[ProbeReport]:
        """Finalists by accuracy, then the dropped ones by how long they stayed."""
        return sorted(self.reports, key=lambda report: (report.dropped_at or 10**9, report.accuracy), reverse=True)

    def as_json(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "seed": self.seed,
            "pictures": self.pictures,
            "held_back": self.held_back,
            "backbones": [report.as_json() for report in self.ranked()],
            "baseline": self.baseline.as_json() if self.baseline else None,
            "chance": self.chance,
            "ties": list(self.ties),
            "quadrant": self.quadrant.as_json() if self.quadrant else None,
            "plan": self.plan,
            "sentence": self.sentence,
            "unavailable": list(self.unavailable),
            "seconds": self.seconds,
        }


def percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def alike_timed(reports: Sequence[ProbeReport]) -> list[ProbeReport]:
    """``reports`` with milliseconds that can be compared: all of exported networks, or else all of torch.

    A network of which few pictures were asked is not worth an export, and an engine's time beside torch's would say
    that the larger network is the faster one.
    """
    if len({one.engine == "torch" for one in reports}) < 2:
        return list(reports)
    return [replace(one, ms_per_picture=one.torch_ms_per_picture, engine="torch") for one in reports]


def chosen_of(ties: Sequence[ProbeReport]) -> ProbeReport:
    """The fastest of those ties whose squared left-out error is within half a point of the least.

    A tie says that the order is not proven, not that the difference is nothing: a best guess is still to be made. That
    error is a proper score (Brier 1950; Gneiting and Raftery 2007) and varies less from sample to sample than counts
    of right answers do, because it hears by how much each was right.
    """
    least = min(one.least_brier for one in ties)
    near = [one for one in ties if one.least_brier <= least + HALF_A_POINT]
    return min(near, key=lambda one: (one.ms_per_picture, one.least_brier))


WORTH = 0.0005  # share of the squared error that depths together have to save: less would be told as 0.0 %
ACTIONS = {
    "linear_head": "train its last linear layer",
    "earlier_layer": "train a linear layer on an earlier activation",
    "last_blocks": "train its last blocks",
    "full": "fine-tune all of its layers",
}


def strategy_of(best: ProbeReport, chosen: ProbeReport, quadrant: Quadrant) -> tuple[str, str, str]:
    """(strategy, taps it reads or "", why), by what was measured; ``best`` is the most accurate backbone.

    From the literature: where the head alone leaves less than half a point to gain, nothing costlier can earn its
    price. Much data: all layers may learn. Less: an earlier activation where that is better for sure, its gain's
    interval, cleared of having picked the tap, above 0 (Yosinski et al. 2014); else the last blocks, from the head,
    between little and much (LP-FT, Kumar et al. 2022); else the last taps of the ``chosen`` joined where they erred
    less than the last alone (Evci et al. 2022): both cost the same, so the likelier one is advised, sure or not; else
    the last layer.
    """
    if best.interval[0] >= 1 - HALF_A_POINT:
        return "linear_head", "", "next to nothing is left to gain by more"
    if quadrant.p_large >= 0.5:
        return "full", "", "there is much data"
    if quadrant.gain_interval[0] > 0:
        gain, low, high = (f"{100 * value:.1f}" for value in (quadrant.gain, *quadrant.gain_interval))
        return "earlier_layer", "", f"an earlier layer is better than the last by {gain} points ({low} to {high})"
    if quadrant.p_large > 0:
        return "last_blocks", "", "there is neither little data nor much"
    if chosen.joined and chosen.joined.gain[0] >= WORTH * chosen.brier > 0:
        less, low, high = (f"{100 * value / chosen.brier:.1f}".replace("-", "−") for value in chosen.joined.gain)
        why = f"its last depths joined err less than the last alone, by {less} % of the squared error ({low} to {high})"
        if chosen.joined.gain[1] <= 0:
            why = (
                f"its last depths joined likelier err less than the last, by {less} % of the squares ({low} to {high})"
            )
        return "earlier_layer", chosen.joined.tap.name, why
    return "linear_head", "", "there is little data, and no earlier layer promises more"


def advise(finalists: Sequence[ProbeReport], ties: Sequence[ProbeReport], quadrant: Quadrant) -> dict[str, Any]:
    """Backbone, strategy, taps and one sentence of why; of ``ties``, fastest first, that of ``chosen_of``."""
    best, chosen = max(finalists, key=lambda report: report.accuracy), chosen_of(ties)
    strategy, taps, why = strategy_of(best, chosen, quadrant)
    low, high = (f"{bound * 100:.1f}" for bound in best.interval)
    found = f"{best.card.name} is right on {percent(best.accuracy)} ({low}–{high}) of pictures it was not fitted to"
    others = [report.card.name for report in ties if report is not best]
    if others:
        found += f"; that is a tie with {_list(others)}"
    elif len(finalists) > 1:
        found += ", more than any other here"
    if chosen.least_brier > best.least_brier:
        found += f", of which {chosen.card.name} errs as little and is {_faster(chosen, best)}"
    elif chosen is not best:
        found += f", of which {chosen.card.name} has the least squared error"
    elif best.ms_per_picture >= 1.05 * ties[0].ms_per_picture:  # else the clock's own noise would be said
        found += f", of which {ties[0].card.name} is {_faster(ties[0], best)} but likelier to be right less often"
    sentence = f"{found}. Start with {chosen.card.name}: {_action(strategy, taps)}, for {why}."
    return {"backbone": chosen.card.id, "strategy": strategy, "taps": taps, "why": sentence}


def _action(strategy: str, taps: str) -> str:
    return f"train a linear layer on {taps} together" if taps else ACTIONS[strategy]


def _faster(one: ProbeReport, other: ProbeReport) -> str:
    return f"{other.ms_per_picture / max(one.ms_per_picture, 1e-6):.1f} times faster"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
