"""The linear head: logistic regression, shrunk discriminant analysis or their mean, whichever errs least unseen."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation import fit_temperature
from trainer.events import Epoch
from zoo.errors import BadPlan
from zoo.judging import few_threads
from zoo.probe import accuracy_interval, principal
from zoo.resample import balanced

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)  # of logistic regression: inverse penalties, from the strictest on
CANDIDATES = len(STRENGTHS) + 2  # discriminant analysis, and its mean with the best regression
FOLDS = 4
IMBALANCED = 3.0  # times as many pictures in the commonest class as in the rarest
TILTS = (0.0, 0.5, 1.0)

Rows = NDArray[np.float64]
Linear = tuple[Rows, Rows]  # (C, k) weights and (C,) biases
Fit = Callable[[Rows, NDArray[np.int64], int], Linear]


@dataclass(frozen=True)
class Head:
    """A linear classifier on raw features, its logits scaled to the temperature that was right out of fold.

    Attributes:
        weight: (C, D); bias: (C,).
        expected: out-of-fold accuracy of its kind.
        tilt: how far it leans to rare classes, from 0 for not at all to 1 for as if all classes were equally common.
        unseen: (M, C) logits of its kind out of fold and (M,) labels, on the pictures where they are fair to it.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    expected: float
    tilt: float = 0.0
    unseen: tuple[Rows, NDArray[np.int64]] | None = None

    def logits(self, x: NDArray[np.float32]) -> Rows:
        """(N, C)."""
        return np.asarray(x, dtype=np.float64) @ self.weight.T.astype(np.float64) + self.bias


def fit_head(
    x: NDArray[np.float32], y: NDArray[np.int64], groups: NDArray[np.int64], classes: int, seed: int = 0
) -> Iterator[Epoch | Head]:
    """Try each candidate out of fold, an ``Epoch`` each; then the ``Head`` of the one with the least loss, refitted.

    Losses are compared after temperature scaling, because the classifier's logits are scaled so at the end. Logistic
    regression runs in the span of the rows, where an L2 penalty has its solution (the representer theorem), so it
    costs N rather than D columns where N is smaller. Discriminant analysis shrinks the covariance by Ledoit and Wolf's
    formula (2004) and is often the better one where a class has fewer pictures than the features have dimensions.

    Args:
        x: (N, D) raw features of the last tap.
        groups: (N,) groups that folds keep whole.
        classes: C; classes that ``y`` lacks get a bias that never wins.

    Raises:
        BadPlan: ``y`` holds one class only.
    """
    if len(np.unique(y)) < 2:
        raise BadPlan("Only one class has pictures to train on.", "Put pictures of every class into the training part.")
    import sklearn.linear_model  # noqa: F401 - brings SciPy's linear algebra, whose threads are limited once it is there

    mean = x.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(((x - mean) ** 2).sum(axis=1).mean())) or 1.0
    z = (x - mean) / scale
    with few_threads(len(y)):
        u, s, vt = principal(z)
    spanned = u * s  # (N, min(N, D)): the same points in fewer coordinates
    kinds: list[tuple[Rows, Fit]] = [(spanned, partial(_regression, strength)) for strength in STRENGTHS]
    kinds.append((z, _discriminant))
    fold = folds_of(y, groups, seed)
    tried: list[_Tried] = []
    for number in range(1, CANDIDATES + 1):
        begun = time.perf_counter()
        with few_threads(len(y)):
            if number <= len(kinds):
                tried.append(_tried(*kinds[number - 1], y, fold, classes))
            else:
                tried.append(_mean(min(tried[:-1], key=lambda one: one.loss), tried[-1], y))
        right = tried[-1].without.argmax(axis=1) == y
        yield Epoch(
            epoch=number,
            step=number,
            train_loss=log_loss(softmax(tried[-1].within), y),
            train_accuracy=float((tried[-1].within.argmax(axis=1) == y).mean()),
            loss=tried[-1].loss,
            accuracy=float(right.mean()),
            interval=accuracy_interval(right, groups),
            seconds=time.perf_counter() - begun,
            best=tried[-1].loss == min(one.loss for one in tried),
        )
    best = min(tried, key=lambda one: one.loss)
    weight, bias = np.zeros((classes, x.shape[1])), np.zeros(classes)
    for (rows, fit), part in zip(kinds, tried, strict=False):
        if part in best.parts or part is best:
            with few_threads(len(y)):
                w, b = (values / part.temperature for values in fit(rows, y, classes))
            weight, bias = weight + (w if rows is z else w @ vt), bias + b
    count = max(len(best.parts), 1)
    weight, bias = weight / scale / count / best.scale, bias / count / best.scale
    tilt, share = _tilt(best.without, y, groups, classes)
    bias -= tilt * np.log(share)
    leaning = best.without - tilt * np.log(share)
    expected, unseen = float((leaning.argmax(axis=1) == y).mean()), (leaning[best.fair], y[best.fair])
    yield Head(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32), expected, tilt, unseen)


def _tilt(without: Rows, y: NDArray[np.int64], groups: NDArray[np.int64], classes: int) -> tuple[float, Rows]:
    """How far to lean to rare classes, and (C,) class shares: logits less tilt times ln share (Menon et al. 2021).

    Only where classes are far from equally common, and where it gains more than a standard error of balanced accuracy
    out of fold; the least tilt that gains as much as any, to within a standard error, is taken.
    """
    counts = np.bincount(y, minlength=classes)
    share = np.maximum(counts, 1) / len(y)
    if counts.max() < IMBALANCED * counts[counts > 0].min():
        return 0.0, share
    right = np.stack([(without - tilt * np.log(share)).argmax(axis=1) == y for tilt in TILTS])
    shares = balanced(right, y, groups)
    gains = shares - shares[:, :1]
    mean, error = gains.mean(axis=0), gains.std(axis=0)
    if (mean <= error).all():
        return 0.0, share
    best = int(mean.argmax())
    enough = next(place for place in range(1, len(TILTS)) if mean[place] >= mean[best] - error[best])
    return TILTS[enough], share


@dataclass(frozen=True, eq=False)
class _Tried:
    """One candidate: (N, C) logits of each row by fits without it and with it, already divided by ``temperature``.

    ``loss`` is over the ``fair`` rows, whose class was in the fit without them. ``parts`` are the two that a mean is
    made of, and ``scale`` the temperature of that mean.
    """

    without: Rows
    within: Rows
    loss: float
    fair: NDArray[np.bool_]
    temperature: float = 1.0
    parts: tuple[_Tried, ...] = ()
    scale: float = 1.0


def _tried(rows: Rows, fit: Fit, y: NDArray[np.int64], fold: NDArray[np.int64], classes: int) -> _Tried:
    without, within = np.zeros((len(y), classes)), np.zeros((len(y), classes))
    fair = np.zeros(len(y), dtype=bool)
    for part in range(int(fold.max()) + 1):
        inside = fold != part
        if len(np.unique(y[inside])) < 2:
            continue
        weight, bias = fit(rows[inside], y[inside], classes)
        logits = rows @ weight.T + bias
        without[~inside], within[inside] = logits[~inside], logits[inside]
        fair[~inside] = np.isin(y[~inside], y[inside])  # a class the fit never saw says nothing of its certainty
    temperature = fit_temperature(without[fair], y[fair])
    without, within = without / temperature, within / temperature
    return _Tried(without, within, log_loss(softmax(without[fair]), y[fair]), fair, temperature)


def _mean(one: _Tried, other: _Tried, y: NDArray[np.int64]) -> _Tried:
    """The mean of two linear classifiers is one, and where they err differently it is better than both."""
    without, within = (one.without + other.without) / 2, (one.within + other.within) / 2
    fair = one.fair
    scale = fit_temperature(without[fair], y[fair])
    loss = log_loss(softmax(without[fair] / scale), y[fair])
    return _Tried(without / scale, within / scale, loss, fair, 1.0, (one, other), scale)


def _regression(strength: float, rows: Rows, y: NDArray[np.int64], classes: int) -> Linear:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a little short of the optimum is as good here
        model = LogisticRegression(C=strength, max_iter=100, tol=1e-3).fit(rows, y)
    return _spread(model.coef_, model.intercept_, model.classes_, classes)


def _discriminant(rows: Rows, y: NDArray[np.int64], classes: int) -> Linear:
    """Linear discriminant analysis, Σ the shrunk within-class covariance: weights Σ⁻¹μ, biases −½μᵀΣ⁻¹μ + ln share.

    The shrinkage is the mean over the classes of what each asks for by itself: pooled, they would ask for too little.
    Σ⁻¹ comes from the singular values of the centred rows, so it costs min(N, k) rather than k cubed.
    """
    known, member = np.unique(y, return_inverse=True)
    spread = rows.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    points = rows / scale
    means = np.stack([points[member == place].mean(axis=0) for place in range(len(known))])
    centred = points - means[member]
    share = np.bincount(member) / len(y)
    asked = [_shrinkage(centred[member == place]) for place in range(len(known))]
    shrinkage = float(share @ asked)
    floor = max(shrinkage * float((centred**2).mean()), 1e-9)
    _, s, vt = principal(centred)
    seen = (1 - shrinkage) * s**2 / len(points)
    weight = (means @ vt.T * (1 / (seen + floor) - 1 / floor)) @ vt + means / floor
    bias = -0.5 * (weight * means).sum(axis=1) + np.log(share)
    return _spread(weight / scale, bias, known, classes)


def _shrinkage(rows: Rows) -> float:
    """Ledoit and Wolf's share of the identity for one class; all of it where a single picture shows no spread."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    return float(ledoit_wolf_shrinkage(rows, assume_centered=True)) if len(rows) > 1 else 1.0


def _spread(coefficients: Rows, intercepts: Rows, known: NDArray[np.int64], classes: int) -> Linear:
    """One row a class; scikit-learn writes one row for two classes, and none for a class it never saw."""
    weight, bias = np.zeros((classes, coefficients.shape[1])), np.full(classes, -1e3)
    if len(coefficients) == 1:
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.r_[-intercepts, intercepts] / 2
    weight[known], bias[known] = coefficients, intercepts
    return weight, bias


def folds_of(y: NDArray[np.int64], groups: NDArray[np.int64], seed: int, count: int = FOLDS) -> NDArray[np.int64]:
    """(N,) fold of each row, of ``count`` or as many as there are groups: groups whole, classes spread evenly."""
    rng = np.random.default_rng(seed)
    names, first, member = np.unique(groups, return_index=True, return_inverse=True)
    fold = np.zeros(len(names), dtype=np.int64)
    folds = min(count, len(names))
    for label in np.unique(y):
        mine = rng.permutation(np.flatnonzero(y[first] == label))
        fold[mine] = (rng.integers(folds) + np.arange(len(mine))) % folds
    return fold[member]


def softmax(logits: NDArray[np.floating]) -> Rows:
    """Row-wise, in double precision."""
    wide = np.asarray(logits, dtype=np.float64)
    power = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def log_loss(probabilities: Rows, y: NDArray[np.int64]) -> float:
    """Mean negative log probability of the true classes, in nats."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(y)), y], 1e-12)).mean()) if len(y) else 0.0
