"""The linear head: the best out of fold of logistic regressions and a shrunk discriminant analysis on frozen features."""

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
from zoo.probe import accuracy_interval

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)  # of logistic regression: inverse penalties, from the strictest on
CANDIDATES = len(STRENGTHS) + 1
FOLDS = 4

Rows = NDArray[np.float64]
Linear = tuple[Rows, Rows]  # (C, k) weights and (C,) biases
Fit = Callable[[Rows, NDArray[np.int64], int], Linear]


@dataclass(frozen=True)
class Head:
    """A linear classifier on raw features.

    Attributes:
        weight: (C, D); bias: (C,).
        expected: out-of-fold accuracy of its kind.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    expected: float

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
    """
    mean = x.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(((x - mean) ** 2).sum(axis=1).mean())) or 1.0
    z = (x - mean) / scale
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    spanned = u * s  # (N, min(N, D)): the same points in fewer coordinates
    candidates: list[tuple[Rows, Fit]] = [(spanned, partial(_regression, strength)) for strength in STRENGTHS]
    candidates.append((z, _discriminant))
    fold = _folds(y, groups, seed)
    best: tuple[float, int, float] | None = None
    for number, (rows, fit) in enumerate(candidates):
        epoch = _tried(rows, fit, y, groups, fold, classes, number + 1, None if best is None else best[0])
        if epoch.best:
            best = epoch.loss, number, epoch.accuracy
        yield epoch
    assert best is not None
    rows, fit = candidates[best[1]]
    weight, bias = fit(rows, y, classes)
    weight = (weight if rows is z else weight @ vt) / scale
    yield Head(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32), best[2])


def _tried(
    rows: Rows,
    fit: Fit,
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    fold: NDArray[np.int64],
    classes: int,
    number: int,
    to_beat: float | None,
) -> Epoch:
    """One candidate, each row judged by the fit without its fold."""
    begun = time.perf_counter()
    without = np.zeros((len(y), classes))
    within = np.zeros((len(y), classes))
    for part in range(int(fold.max()) + 1):
        inside = fold != part
        if len(np.unique(y[inside])) < 2:
            continue
        weight, bias = fit(rows[inside], y[inside], classes)
        logits = rows @ weight.T + bias
        without[~inside], within[inside] = logits[~inside], logits[inside]
    right = without.argmax(axis=1) == y
    temperature = fit_temperature(without, y)
    loss = log_loss(softmax(without / temperature), y)
    return Epoch(
        epoch=number,
        step=number,
        train_loss=log_loss(softmax(within / temperature), y),
        train_accuracy=float((within.argmax(axis=1) == y).mean()),
        loss=loss,
        accuracy=float(right.mean()),
        interval=accuracy_interval(right, groups),
        seconds=time.perf_counter() - begun,
        best=to_beat is None or loss < to_beat,
    )


def _regression(strength: float, rows: Rows, y: NDArray[np.int64], classes: int) -> Linear:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a little short of the optimum is as good here
        model = LogisticRegression(C=strength, max_iter=100, tol=1e-3).fit(rows, y)
    return _spread(model.coef_, model.intercept_, model.classes_, classes)


def _discriminant(rows: Rows, y: NDArray[np.int64], classes: int) -> Linear:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that never varies divides by zero and drops out
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(rows, y)
    return _spread(model.coef_, model.intercept_, model.classes_, classes)


def _spread(coefficients: Rows, intercepts: Rows, known: NDArray[np.int64], classes: int) -> Linear:
    """One row a class; scikit-learn writes one row for two classes, and none for a class it never saw."""
    weight, bias = np.zeros((classes, coefficients.shape[1])), np.full(classes, -1e3)
    if len(known) == 2:
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.r_[-intercepts, intercepts] / 2
    weight[known], bias[known] = coefficients, intercepts
    return weight, bias


def _folds(y: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """(N,) fold of each row: groups whole, classes spread evenly."""
    rng = np.random.default_rng(seed)
    names, first, member = np.unique(groups, return_index=True, return_inverse=True)
    fold = np.zeros(len(names), dtype=np.int64)
    folds = min(FOLDS, len(names))
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
    return float(-np.log(np.maximum(probabilities[np.arange(len(y)), y], 1e-12)).mean())
