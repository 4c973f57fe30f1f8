"""The probe kept on the desk: after an edit its accuracy is there at once, equal to a probe made from scratch.

Relabelling changes targets only, and removing leaves out.
With H = 11ᵀ/N + U diag(s²/(s²+λ)) Uᵀ what is expensive (U, s², every leverage, the
blocks of groups) stays, and of N × C left-out scores only the columns of the classes involved are new, for each of the
20 penalties, so that the penalty is chosen anew as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.probe import LAMBDAS, ROUNDING, Floats, Ints, even, fair, left_out_interval, spectrum

Doubles = NDArray[np.float64]
MOST = 20_000  # pictures; more would not fit into a page's memory
MAPPED = 2_000  # pictures, up to which their map is t-SNE's
GONE = 64  # pictures removed, after which the rest is laid out anew


@dataclass(frozen=True, slots=True)
class Standing:
    """Share of pictures whose left-out prediction is right, with its 95 % interval."""

    accuracy: float
    interval: tuple[float, float]


class Desk:
    """A ridge probe (``zoo.probe.ridge``) of pictures whose labels change, and which leave, under a person's hands."""

    def __init__(self, features: Floats, y: Ints, groups: Ints | None = None, classes: int | None = None) -> None:
        """Args:
        features: (N, D), as ``ridge`` takes them.
        y: (N,) labels in 0…C−1.
        groups: (N,) group numbers, left out together.
        """
        self._y: Ints
        self._alive: Ints
        self._left_out: Doubles
        self._targets: Doubles
        self._lift: Doubles
        self._reach: Doubles
        self._slack: Doubles
        self._crowds: list[Ints]
        self._blocks: list[Doubles]
        self._lay(even(features), y, groups, classes or int(y.max()) + 1)

    def __len__(self) -> int:
        return len(self._alive)

    @property
    def fresh(self) -> bool:
        """Whether nothing is gone from what was laid out, so that rows count from what is there now."""
        return len(self._alive) == len(self._y)

    @property
    def y(self) -> Ints:
        """(N,) labels now."""
        return self._y[self._alive]

    @property
    def groups(self) -> Ints | None:
        return None if self._groups is None else self._groups[self._alive]

    @property
    def scores(self) -> Doubles:
        """(N, C) left-out scores."""
        return self._left_out

    @property
    def predicted(self) -> Ints:
        """(N,) the class that the fit without it gives each picture."""
        return np.asarray(self._fair().argmax(axis=1), dtype=np.int64)

    @property
    def standing(self) -> Standing:
        right = self.predicted == self.y
        return Standing(float(right.mean()), left_out_interval(right, self.y, self.groups))

    @property
    def margin(self) -> Doubles:
        """(N,) left-out score of the own class minus the best other; the smaller, the harder, below 0 it is wrong."""
        rows, scores = np.arange(len(self)), self._fair()
        own = scores[rows, self.y]
        scores[rows, self.y] = -np.inf
        return np.asarray(own - scores.max(axis=1))

    def relabel(self, indices: int | Collection[int], label: int) -> Standing:
        """Give the pictures at ``indices`` the class ``label``, a number in 0…C (C makes a new class)."""
        y = self.y
        y[np.atleast_1d(np.asarray(indices))] = label
        return self.arrange(self._alive, y, max(self._targets.shape[1], label + 1))

    def remove(self, indices: int | Collection[int]) -> Standing:
        """Go on without the pictures at ``indices``."""
        keep = np.delete(np.arange(len(self)), np.atleast_1d(np.asarray(indices)))
        return self.arrange(self._alive[keep], self.y[keep], self._targets.shape[1])

    def arrange(self, rows: Ints, y: Ints, classes: int) -> Standing:
        """Judge the pictures ``rows`` (of those that were laid out, ascending) with labels ``y`` in 0…``classes``−1.

        Those that are gone are left out of every fit, exactly, with the penalties that fit those laid out. After
        ``GONE`` of them the rest is laid out anew, and rows count from there.
        """
        if len(self._y) - len(rows) > GONE:
            self._lay(self._even[rows], y, None if self._groups is None else self._groups[rows], classes)
            return self.standing
        moved = not np.array_equal(rows, self._alive)
        labels = self._y.copy()
        labels[rows] = y
        changed = labels != self._y
        columns = np.unique(np.concatenate([self._y[changed], labels[changed]]))
        self._y = labels
        if moved:
            self._leave_out(rows)
        if moved or classes != self._targets.shape[1]:
            self._solve(classes)
        elif len(columns):
            self._targets[:, columns] = self._y[:, None] == columns
            self._choose(columns, self._measure(columns))
        return self.standing

    def plane(self) -> Doubles:
        """(N, 2) coordinates along the two directions in which the features vary most, the same every time."""
        order = np.argsort(-self._variance)[:2]
        found = self._u[:, order] * np.sqrt(self._variance[order])
        if found.shape[1]:
            found *= np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])
        return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))[self._alive]

    def _fair(self) -> Doubles:
        """Left-out scores as if leaving a picture out did not make its class rarer, as ``ridge`` predicts by."""
        return fair(self._left_out, self.y, self.groups)

    def _lay(self, features: Doubles, y: Ints, groups: Ints | None, classes: int) -> None:
        self._even, self._groups = features, groups
        self._y = np.asarray(y, dtype=np.int64).copy()
        self._u, self._variance = spectrum(features - features.mean(axis=0), len(features) * ROUNDING)
        mean_variance = self._variance.sum() / features.shape[1] or 1.0
        self._weights = self._variance / (self._variance + LAMBDAS[:, None] * mean_variance)  # (20, k)
        self._leverage = 1 / len(y) + self._weights @ (self._u**2).T  # (20, N)
        self._leave_out(np.arange(len(y)))
        self._solve(classes)

    def _leave_out(self, alive: Ints) -> None:
        """With R gone, H_SS becomes H_SS + H_SR (I − H_RR)⁻¹ H_RS and the residuals rise by H_SR (I − H_RR)⁻¹ e_R."""
        self._alive = alive
        self._gone = np.setdiff1d(np.arange(len(self._y)), alive)
        spread = self._weights[:, :, None] * self._u[self._gone].T  # (20, k, r)
        self._reach = 1 / len(self._y) + np.stack([self._u @ one for one in spread])  # (20, N, r)
        inside = (1 + 1e-12) * np.eye(len(self._gone)) - self._reach[:, self._gone]
        self._lift = self._reach @ np.linalg.inv(inside)
        self._slack = np.maximum(1 - self._leverage - (self._lift * self._reach).sum(axis=2), 1e-9)
        self._crowds = [alive[rows] for rows in _by_size(self.groups)]
        self._blocks = [self._inverse(rows) for rows in self._crowds]

    def _solve(self, classes: int) -> None:
        self._targets = (self._y[:, None] == np.arange(classes)).astype(np.float64)
        self._errors = np.full((len(LAMBDAS), classes), np.inf)
        self._best = -1
        step = max(1, (64 << 20) // (8 * len(self._y) * len(LAMBDAS)))
        for first in range(0, classes, step):
            self._measure(np.arange(first, min(first + step, classes)))
        self._choose(np.arange(classes))

    def _measure(self, columns: Ints) -> Doubles:
        """(20, N, c) left-out scores of these classes under every penalty; their squared errors are noted."""
        left_out = self._columns(np.arange(len(LAMBDAS)), columns)
        self._errors[:, columns] = ((left_out - self._targets[self._alive][:, columns]) ** 2).sum(axis=1)
        return left_out

    def _choose(self, columns: Ints, left_out: Doubles | None = None) -> None:
        best = int(self._errors.sum(axis=1).argmin())
        if best == self._best and left_out is not None:
            self._left_out[:, columns] = left_out[best]
        else:
            self._best = best
            self._left_out = self._columns(np.array([best]), np.arange(self._targets.shape[1]))[0]

    def _columns(self, penalties: Ints, columns: Ints) -> Doubles:
        """(p, N, c) left-out scores under some penalties, as ``zoo.probe`` has them."""
        targets = self._targets[:, columns]
        mixed = self._weights[penalties].T[:, :, None] * (self._u.T @ targets)[:, None, :]  # (k, p, c)
        fitted = (
            (self._u @ mixed.reshape(len(mixed), len(penalties) * len(columns)))
            .reshape(len(targets), *mixed.shape[1:])
            .swapaxes(0, 1)
        )
        residual = targets - targets.mean(axis=0) - fitted
        residual += self._lift[penalties] @ residual[:, self._gone]
        left_out: Doubles = targets - residual / self._slack[penalties][:, :, None]
        for rows, block in zip(self._crowds, self._blocks, strict=True):
            left_out[:, rows] = targets[rows] - block[penalties] @ residual[:, rows]
        return left_out[:, self._alive]

    def _inverse(self, rows: Ints) -> Doubles:
        """(20, m, g, g) of (I − H_GG)⁻¹ for m groups of g pictures."""
        return np.stack([self._inverse_at(rows, number) for number in range(len(LAMBDAS))])

    def _inverse_at(self, rows: Ints, number: int) -> Doubles:
        u = self._u[rows]
        hat = 1 / len(self._y) + (u * self._weights[number]) @ u.swapaxes(1, 2)
        hat += self._lift[number][rows] @ self._reach[number][rows].swapaxes(1, 2)
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
