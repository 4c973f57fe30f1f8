"""Would more pictures help? A learning curve on features that are known, and the law it follows where it follows one.

Pure arithmetic. For the whole, the pictures are dealt into 1, 2, 4, … parts of equal size; a closed-form probe is
fitted to each part and judged on each picture it leaves out, so that at every size each picture is judged once a
shuffle. For a class, its own training pictures grow while those of the others stay. The error is then a·n^−b + c
(Cortes et al. 1993, "Learning Curves: Asymptotic Values and Rate of Convergence").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.probe import Floats, Ints, even, ridge, spectrum

Doubles = NDArray[np.float64]

SHUFFLES = 4
PARTS = (1, 2, 4, 8, 16)
FEW = 10  # pictures a class, below which nothing is forecast
FEWEST = 5  # pictures a class in the smallest part
MOST = 6000  # pictures looked at
RESAMPLES = 200
FOLDS = 4  # of a class's curve
DRAWS = 6  # of a class's training pictures, at each size
LADDER = 6  # sizes
WORTH = 0.005  # least gain that is advised
AXES = 192  # directions of most variance that a class's curve is drawn along
MOST_CLASSES = 24  # that curves are drawn for: those with most mistakes
RATES = np.linspace(0.1, 1.6, 31)  # b
POOR = 2.0  # standard errors that a law may miss the points by, in the root mean square
EXPLAINED = 0.7  # least share of the points' variation that a law accounts for


@dataclass(frozen=True)
class Law:
    """error = a·n^−b + c, with a, b > 0 and c ≥ 0."""

    a: float
    b: float
    c: float

    def at(self, n: float) -> float:
        return float(self.a * n**-self.b + self.c)


@dataclass(frozen=True)
class Forecast:
    """``more`` pictures would lower the error by ``gain``, with 95 % ``interval``, if they are like the ones there."""

    more: int
    gain: float
    interval: tuple[float, float]

    @property
    def helps(self) -> bool:
        """Whether it is sure to be something, and worth a person's while."""
        return self.interval[0] > 0 and self.gain >= WORTH

    def told(self, name: str) -> str:
        """The sentence that asks for more of the class ``name``, or of all where that is ""."""
        gain, low, high = (100 * share for share in (self.gain, *self.interval))
        if name:
            expected = f"{gain:.1f} fewer mistakes about it in 100 of its pictures expected ({low:.1f} to {high:.1f})"
            return f"Collect {self.more:,} more of {name}: {expected}."
        return (
            f"Collect {self.more:,} more pictures: {gain:.1f} points fewer errors expected ({low:.1f} to {high:.1f})."
        )


@dataclass(frozen=True)
class Curve:
    """Error at each size, for one class or over all (``name`` "").

    Attributes:
        sizes: pictures (of the class) that the probe learned from, ascending.
        errors, intervals: share of left-out pictures it got wrong, with 95 % intervals; of a class, its pictures
            missed and others taken for it, over its pictures.
        law, forecast: None where the points follow no law closely, do not fall, or are too few.
    """

    name: str
    sizes: tuple[float, ...]
    errors: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    law: Law | None
    forecast: Forecast | None


@dataclass(frozen=True)
class Curves:
    """The curve over all pictures and those of the single classes."""

    overall: Curve
    classes: tuple[Curve, ...]

    @property
    def sentence(self) -> str:
        """What to collect, or that nothing can be said."""
        helped = [one for one in self.classes if one.forecast is not None and one.forecast.helps]
        if helped:
            best = max(helped, key=lambda one: one.forecast.gain if one.forecast else 0.0)
            assert best.forecast is not None
            return best.forecast.told(best.name)
        whole = self.overall.forecast
        if whole is not None and whole.helps:
            return whole.told("")
        if len(self.overall.sizes) < 3:
            return f"Too few pictures to forecast what more would bring: {FEW} a class and more are needed."
        if whole is not None:
            return "More pictures like these would hardly help."
        return "What more pictures would bring cannot be told: the error does not fall as a law would have it."

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"sentence": self.sentence}


def curves(x: Floats, y: Ints, groups: Ints, classes: Sequence[str], seed: int = 0) -> Curves:
    """Learning curves of a ridge probe.

    Over all pictures every class grows; in a class's own curve it alone does, so that its forecast is what more of it
    would bring with the others as they are.

    Args:
        x: (N, D) features.
        y: (N,) labels.
        groups: (N,) group numbers; a group is dealt and left out whole.
    """
    x, y, groups = _at_most(x, y, groups, seed)
    count = np.bincount(y, minlength=len(classes))
    parts = [part for part in PARTS if part == 1 or count[count > 0].min() / part >= FEWEST]
    whole = ridge(x, y, groups, len(classes))
    right = [_judged(x, y, groups, part, seed) for part in parts[:0:-1]] + [(whole.predicted == y).astype(np.float64)]
    draws = _draws(groups, seed)
    few = bool(count[count > 0].min() < FEW)
    overall = _curve("", len(y) / np.array(parts[::-1]), 1 - np.stack(right)[None], None, draws, len(y), hidden=few)
    hard = np.bincount(y[whole.predicted != y], minlength=len(classes))
    chosen = sorted(np.argsort(-hard, kind="stable")[:MOST_CLASSES].tolist())
    desk = _Bench.lay(x, y, groups, len(classes), whole.penalty, seed)
    named = [_of_class(desk, label, classes[label], draws, seed) for label in chosen if count[label] > 1]
    return Curves(overall, tuple(named))


@dataclass(frozen=True)
class _Bench:
    """What the curves of all classes share.

    Attributes:
        f: (N, d + 1) pictures along the directions of most variance, then a constant.
        hand: (N,) the fold each is left out with.
        penalty: (d + 1,) what the ridge adds to the diagonal, nothing for the constant.
    """

    f: Doubles
    y: Ints
    hand: Ints
    penalty: Doubles
    classes: int

    @classmethod
    def lay(cls, x: Floats, y: Ints, groups: Ints, classes: int, penalty: float, seed: int) -> _Bench:
        rows = even(x)
        u, variance = spectrum(rows - rows.mean(axis=0), 1e-12 * len(rows))
        top = np.argsort(-variance)[:AXES]
        f = np.concatenate([u[:, top] * np.sqrt(variance[top]), np.ones((len(y), 1))], axis=1)
        ridged = np.append(np.full(len(top), penalty * variance.sum() / x.shape[1]), 1e-9)
        return cls(f, y, _dealt(y, groups, FOLDS, seed), ridged, classes)

    def mistakes(self, label: int, share: Doubles, seed: int) -> Doubles:
        """(R, S, N) whether a left-out picture of ``label`` is missed, or another taken for it, by draw and size.

        The class weighs the same at every size, so that fewer of its pictures make it less known and not rarer.
        """
        rng = np.random.default_rng([seed, label])
        wrong = np.zeros((DRAWS, len(share), len(self.y)))
        hot = np.eye(self.classes)
        for fold in range(FOLDS):
            held = np.flatnonzero(self.hand == fold)
            others = np.flatnonzero((self.hand != fold) & (self.y != label))
            mine = np.flatnonzero((self.hand != fold) & (self.y == label))
            if not len(held) or not len(others) or not len(mine):
                continue
            gram, cross = (
                self.f[others].T @ self.f[others] + np.diag(self.penalty),
                self.f[others].T @ hot[self.y[others]],
            )
            for draw in range(DRAWS):
                order = mine[rng.permutation(len(mine))]
                for place, part in enumerate(share):
                    some = self.f[order[: max(1, round(part * len(mine)))]]
                    weight = len(mine) / len(some)
                    target = cross.copy()
                    target[:, label] += weight * some.sum(axis=0)
                    w = np.linalg.solve(gram + weight * some.T @ some, target)
                    said = (self.f[held] @ w).argmax(axis=1)
                    wrong[draw, place, held] = (said == label) != (self.y[held] == label)
        return wrong


def _of_class(desk: _Bench, label: int, name: str, draws: Doubles, seed: int) -> Curve:
    """The curve of one class, its pictures growing alone."""
    count = int((desk.y == label).sum())
    most = count * (1 - 1 / FOLDS)
    least = min(max(FEWEST, most / 16), most)
    sizes = np.unique(np.geomspace(least, most, LADDER).round(1))
    wrong = desk.mistakes(label, sizes / most, seed)
    return _curve(name, sizes, wrong, desk.y == label, draws, count, hidden=count <= FEW)


def fit(sizes: Doubles, errors: Doubles, spread: Doubles | None = None) -> Law | None:
    """The law closest to ``errors`` at ``sizes`` in weighted least squares; None where none is close or it is flat.

    Args:
        spread: standard error of each point; all alike, and the fit judged by its variation alone, unless given.
    """
    if len(sizes) < 4:
        return None
    weight = np.ones(len(sizes)) if spread is None else 1 / np.maximum(spread, 1e-6)
    law = _closest(sizes, errors[None], weight)[0]
    missed = weight * (errors - np.array([law.at(n) for n in sizes]))
    level = float((weight**2 * errors).sum() / (weight**2).sum())
    varied = float(((weight * (errors - level)) ** 2).sum())
    explained = 1 - float((missed**2).sum()) / max(varied, 1e-300)
    poor = spread is not None and float(np.sqrt((missed**2).mean())) > POOR
    return None if law.a <= 0 or poor or explained < EXPLAINED else law


def _closest(sizes: Doubles, errors: Doubles, weight: Doubles) -> list[Law]:
    """For each row of ``errors`` the best of the laws with b in ``RATES``, a ≥ 0 and c ≥ 0."""
    least, best = np.full(len(errors), np.inf), np.zeros((len(errors), 3))
    for rate in RATES:
        basis = np.stack([sizes**-rate, np.ones(len(sizes))], axis=1) * weight[:, None]
        target = errors * weight
        both = np.linalg.lstsq(basis, target.T, rcond=None)[0].T
        alone = np.maximum(target @ basis / (basis**2).sum(axis=0), 0)
        choices = np.stack(
            [
                np.where((both >= 0).all(axis=1, keepdims=True), both, np.nan),
                np.stack([alone[:, 0], np.zeros(len(errors))], axis=1),
                np.stack([np.zeros(len(errors)), alone[:, 1]], axis=1),
            ]
        )
        missed = ((choices @ basis.T - target) ** 2).sum(axis=2)
        missed[np.isnan(missed)] = np.inf
        pick = missed.argmin(axis=0)
        rows = np.arange(len(errors))
        better = missed[pick, rows] < least
        least[better] = missed[pick, rows][better]
        best[better] = np.stack([choices[pick, rows, 0], np.full(len(errors), rate), choices[pick, rows, 1]], 1)[better]
    return [Law(*map(float, row)) for row in best]


def _curve(
    name: str,
    sizes: Doubles,
    wrong: Doubles,
    mine: NDArray[np.bool_] | None,
    draws: Doubles,
    now: float,
    *,
    hidden: bool,
) -> Curve:
    """The curve through (R, S, N) mistakes over the pictures of ``mine`` (all unless given), forecast from ``now``.

    Its intervals resample groups of pictures and, where there are several, draws of training pictures.
    """
    of = np.ones(wrong.shape[2]) if mine is None else mine.astype(np.float64)
    errors = wrong.mean(axis=0).sum(axis=1) / of.sum()
    several = len(wrong)
    drawn = np.einsum(
        "brs,br->bs",
        (draws @ wrong.reshape(-1, wrong.shape[2]).T).reshape(len(draws), several, -1),
        np.random.default_rng(several).multinomial(several, np.full(several, 1 / several), len(draws)) / several,
    )
    drawn /= np.maximum(draws @ of, 1)[:, None]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    spread = np.maximum(drawn.std(axis=0), 1 / (2 * of.sum()))
    law = None if hidden else fit(sizes, errors, spread)
    forecast = None
    if law is not None:
        more = _round(now / 2)
        laws = _closest(sizes, drawn, 1 / spread)
        gains = np.array([one.at(now) - one.at(now + more) for one in laws])
        bounds = np.percentile(gains, [2.5, 97.5])
        forecast = Forecast(more, law.at(now) - law.at(now + more), (float(bounds[0]), float(bounds[1])))
    intervals = tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
    return Curve(name, tuple(sizes.tolist()), tuple(errors.tolist()), intervals, law, forecast)


def _judged(x: Floats, y: Ints, groups: Ints, parts: int, seed: int) -> Doubles:
    """(N,) share of the shuffles in which a picture was told right by the part it was dealt into, itself left out."""
    right = np.zeros(len(y))
    for shuffle in range(SHUFFLES):
        hand = _dealt(y, groups, parts, seed + shuffle)
        for part in range(parts):
            rows = np.flatnonzero(hand == part)
            if len(rows) > 1:
                right[rows] += ridge(x[rows], y[rows], groups[rows], int(y.max()) + 1).predicted == y[rows]
    return right / SHUFFLES


def _dealt(y: Ints, groups: Ints, parts: int, seed: int) -> Ints:
    """(N,) the part each picture is in; the groups of each class (that of a group's first) are dealt in turn."""
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(first))
    order = order[np.argsort(y[first][order], kind="stable")]
    hand = np.empty(len(first), dtype=np.int64)
    hand[order] = np.arange(len(first)) % parts
    return np.asarray(hand[member], dtype=np.int64)


def _draws(groups: Ints, seed: int) -> Doubles:
    """(R, N) how often each picture is in each resample; groups are drawn whole."""
    _, member = np.unique(groups, return_inverse=True)
    several = int(member.max()) + 1
    rng = np.random.default_rng(seed)
    times = np.stack([np.bincount(rng.integers(0, several, several), minlength=several) for _ in range(RESAMPLES)])
    return times[:, member].astype(np.float64)


def _at_most(x: Floats, y: Ints, groups: Ints, seed: int) -> tuple[Floats, Ints, Ints]:
    if len(y) <= MOST:
        return x, y, groups
    rows = np.sort(np.random.default_rng(seed).choice(len(y), MOST, replace=False))
    return x[rows], y[rows], groups[rows]


def _round(number: float) -> int:
    """A round number near ``number``: 1, 2, 4 or 5 and zeros, 10 at least."""
    steps: list[int] = [digit * ten for ten in (10, 100, 1000, 10_000, 100_000) for digit in (1, 2, 4, 5)]
    return min(steps, key=lambda step: abs(float(np.log(step / max(number, 1.0)))))
