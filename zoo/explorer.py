"""The probe kept on the desk: after an edit its accuracy is there at once, equal to a probe made from scratch.

Relabelling changes targets only. With H = 11ᵀ/N + U diag(s²/(s²+λ)) Uᵀ what is expensive (U, s², every leverage, the
blocks of groups) stays, and of N × C left-out scores only the columns of the classes involved are new, for each of the
20 penalties, so that the penalty is chosen anew as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.probe import LAMBDAS, Floats, Ints, _rarer, accuracy_interval, even, spectrum

Doubles = NDArray[np.float64]
MOST = 20_000  # pictures; more would not fit into a page's memory
MAPPED = 2_000  # pictures, up to which their map is t-SNE's
STORED = 256  # pictures of a group, up to which what it needs is kept


@dataclass(frozen=True, slots=True)
class Standing:
    """Share of pictures whose left-out prediction is right, with its 95 % interval."""

    accuracy: float
    interval: tuple[float, float]


class Desk:
    """A ridge probe (``zoo.probe.ridge``) of pictures whose labels change under a person's hands."""

    def __init__(self, features: Floats, y: Ints, groups: Ints | None = None, classes: int | None = None) -> None:
        """Args:
        features: (N, D), as ``ridge`` takes them.
        y: (N,) labels in 0…C−1.
        groups: (N,) group numbers, left out together.
        """
        self.y: Ints
        self._targets: Doubles
        self._left_out: Doubles
        self._set(even(features), y, groups, classes or int(y.max()) + 1)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def scores(self) -> Doubles:
        """(N, C) left-out scores."""
        return self._left_out

    @property
    def predicted(self) -> Ints:
        """(N,) the class that the fit without it gives each picture."""
        return np.asarray(self._even_scores().argmax(axis=1), dtype=np.int64)

    @property
    def penalty(self) -> float:
        return float(LAMBDAS[self._best])

    @property
    def standing(self) -> Standing:
        right = self.predicted == self.y
        return Standing(float(right.mean()), accuracy_interval(right, self._groups))

    @property
    def margin(self) -> Doubles:
        """(N,) left-out score of the own class minus the best other; the smaller, the harder, below 0 it is wrong."""
        rows = np.arange(len(self))
        scores = self._even_scores()
        own = scores[rows, self.y]
        scores[rows, self.y] = -np.inf
        return np.asarray(own - scores.max(axis=1))

    def _even_scores(self) -> Doubles:
        """Left-out scores as if leaving a picture out did not make its class rarer, as ``ridge`` predicts by."""
        return self._left_out + _rarer(self.y, self._groups, self._targets.shape[1])

    def relabel(self, indices: int | Collection[int], label: int) -> Standing:
        """Give the pictures at ``indices`` the class ``label``, a number in 0…C (C makes a new class)."""
        y = self.y.copy()
        y[np.atleast_1d(np.asarray(indices))] = label
        return self.retarget(y, max(self._targets.shape[1], label + 1))

    def retarget(self, y: Ints, classes: int | None = None) -> Standing:
        """Take (N,) labels ``y`` instead; only the classes involved are solved again."""
        count = classes or self._targets.shape[1]
        changed = y != self.y
        columns = np.unique(np.concatenate([self.y[changed], y[changed]]))
        self.y = np.asarray(y, dtype=np.int64)
        if count != self._targets.shape[1]:
            self._solve(count)
        elif len(columns):
            self._targets[:, columns] = self.y[:, None] == columns
            self._solve_columns(columns)
        return self.standing

    def remove(self, indices: int | Collection[int]) -> Standing:
        """Go on without the pictures at ``indices``. The features' mean moves, so that U and s² are found anew."""
        keep = np.ones(len(self), dtype=bool)
        keep[np.atleast_1d(np.asarray(indices))] = False
        groups = None if self._groups is None else self._groups[keep]
        self._set(self._even[keep], self.y[keep], groups, self._targets.shape[1])
        return self.standing

    def plane(self) -> Doubles:
        """(N, 2) coordinates along the two directions in which the features vary most, the same every time."""
        if self._variance.size == 0:
            return np.zeros((len(self), 2))
        order = np.argsort(-self._variance)[:2]
        found = self._u[:, order] * np.sqrt(self._variance[order])
        flip = np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])
        return np.pad(found * flip, ((0, 0), (0, 2 - found.shape[1])))

    def _set(self, features: Doubles, y: Ints, groups: Ints | None, classes: int) -> None:
        self._even, self._groups = features, groups
        self.y = np.asarray(y, dtype=np.int64)
        self._u, self._variance = spectrum(features - features.mean(axis=0))
        mean_variance = self._variance.sum() / features.shape[1] or 1.0
        self._weights = self._variance / (self._variance + LAMBDAS[:, None] * mean_variance)  # (20, k)
        leverage = 1 / len(y) + self._weights @ (self._u**2).T
        self._slack = np.maximum(1 - leverage, 1e-9)  # (20, N)
        self._crowds = _by_size(groups)
        self._blocks = [self._inverses(rows) if rows.shape[1] <= STORED else None for rows in self._crowds]
        self._solve(classes)

    def _solve(self, classes: int) -> None:
        self._targets = (self.y[:, None] == np.arange(classes)).astype(np.float64)
        self._errors = np.full((len(LAMBDAS), classes), np.inf)
        self._best = -1
        step = max(1, (64 << 20) // (8 * len(self) * len(LAMBDAS)))
        for first in range(0, classes, step):
            self._measure(np.arange(first, min(first + step, classes)))
        self._choose(np.arange(classes))

    def _solve_columns(self, columns: Ints) -> None:
        left_out = self._measure(columns)
        self._choose(columns, left_out)

    def _measure(self, columns: Ints) -> Doubles:
        """(20, N, c) left-out scores of these classes under every penalty; their squared errors are noted."""
        left_out = np.stack([self._columns(number, columns) for number in range(len(LAMBDAS))])
        self._errors[:, columns] = ((left_out - self._targets[:, columns]) ** 2).sum(axis=1)
        return left_out

    def _choose(self, columns: Ints, left_out: Doubles | None = None) -> None:
        best = int(self._errors.sum(axis=1).argmin())
        if best == self._best and left_out is not None:
            self._left_out[:, columns] = left_out[best]
        else:
            self._best, self._left_out = best, self._columns(best, np.arange(self._targets.shape[1]))

    def _columns(self, number: int, columns: Ints) -> Doubles:
        """(N, c) left-out scores under one penalty, as ``zoo.probe`` has them."""
        targets = self._targets[:, columns]
        fitted = targets.mean(axis=0) + self._u @ (self._weights[number][:, None] * (self._u.T @ targets))
        residual = targets - fitted
        left_out: Doubles = targets - residual / self._slack[number][:, None]
        for rows, block in zip(self._crowds, self._blocks, strict=True):
            inverse = block[number] if block is not None else self._inverse(rows, number)
            left_out[rows] = targets[rows] - inverse @ residual[rows]
        return left_out

    def _inverses(self, rows: Ints) -> Doubles:
        return np.stack([self._inverse(rows, number) for number in range(len(LAMBDAS))])

    def _inverse(self, rows: Ints, number: int) -> Doubles:
        """(m, g, g) of (I − H_GG)⁻¹ for m groups of g pictures."""
        u = self._u[rows]
        hat = 1 / len(self) + (u * self._weights[number]) @ u.swapaxes(1, 2)
        return np.asarray(np.linalg.inv((1 + 1e-12) * np.eye(rows.shape[1]) - hat))


def neighbours_map(features: Floats) -> Doubles:
    """(N, 2) t-SNE (van der Maaten & Hinton 2008) of the features, with a fixed seed; for up to ``MAPPED`` pictures."""
    from sklearn.manifold import TSNE

    rows = even(features)
    near = max(2.0, min(30.0, (len(rows) - 1) / 3))
    return np.asarray(TSNE(2, perplexity=near, init="pca", random_state=0).fit_transform(rows), dtype=np.float64)


def _by_size(groups: Ints | None) -> list[Ints]:
    """Row indices of the groups of two and more: for each size g an (m, g) array."""
    if groups is None:
        return []
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    sized: dict[int, list[Ints]] = defaultdict(list)
    for rows in np.split(order, starts):
        sized[len(rows)].append(rows)
    return [np.stack(rows) for size, rows in sorted(sized.items()) if size > 1]
