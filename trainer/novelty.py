"""Does a picture look like anything the classifier was trained on?

The gate adds up three things: the Mahalanobis distance to the nearest class mean under one shrunk covariance (Lee et
al., NeurIPS 2018; Ledoit & Wolf 2004); how little the class that speaks loudest says, by a ridge regression onto the
classes; and how thinly training pictures lie around it, by a kernel density on the sphere (von Mises and Fisher's
kernel, Hall, Watson & Cabrera 1987). All on features that were rooted (Perronnin et al. 2010) and brought to length 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from zoo.errors import BadClassifier
from zoo.probe import even, principal, unit

ACCEPT = 0.95  # share of familiar pictures the gate lets through
LEAST = 1e-6  # share of the largest variance below which a direction is left out
EVERY = 4  # one picture in so many is kept from a first fit, to see how much distances and scores of new ones vary
KEPT = 1_024  # training pictures that the density is made of, as many of each class as there can be
KEEN = 80.0  # concentration of its kernel: one picture's falls to a half where the cosine has lost 0.009
AT_ONCE = 4_096  # pictures whose density is computed at a time

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Gate:
    """How far a picture's features are from all classes, and how far is too far.

    Attributes:
        means: (C, k) class means in whitened coordinates; whiten: (D, k).
        voice: (D, C) and offset: (C,) what each class says for a picture, in units of distance, at most about 0.
        kept: (M, D) rooted features of training pictures, of length 1; share: units of distance that one of the
            logarithm of their density is worth. None of them, and features that are not rooted, in older gates.
        threshold: distance that 95 % of the calibration pictures stay below; infinite where there were too few.
    """

    means: NDArray[np.float32]
    whiten: NDArray[np.float32]
    voice: NDArray[np.float32]
    offset: NDArray[np.float32]
    kept: NDArray[np.float32]
    share: float
    threshold: float

    @property
    def roots(self) -> bool:
        """Whether it looks at rooted features."""
        return len(self.kept) > 0

    def distance(self, x: NDArray[np.float32]) -> Doubles:
        """(N,) of raw features (N, D): to the nearest class mean, less the loudest class's word and the density."""
        rows = even(x) if self.roots else unit(x)
        said = rows @ self.voice.astype(np.float64) + self.offset
        far = _to_nearest(rows @ self.whiten.astype(np.float64), self.means) - said.max(axis=1)
        if self.roots:
            far -= self.share * density(rows, self.kept)
        return np.asarray(np.maximum(far, 0))

    def save(self, path: Path) -> None:
        numbers = {"threshold": np.array(self.threshold), "share": np.array(self.share)}
        np.savez(path, allow_pickle=False, **vars(self) | numbers)

    @classmethod
    def load(cls, path: Path) -> Gate | None:
        """The gate at ``path``; None where there is none.

        Raises:
            BadClassifier: the file is damaged.
        """
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                whiten = stored["whiten"]
                columns = len(whiten)
                return cls(
                    stored["means"],
                    whiten,
                    stored.get("voice", np.zeros((columns, 1), np.float32)),  # of older gates the rest is not there
                    stored.get("offset", np.zeros(1, np.float32)),
                    stored.get("kept", np.zeros((0, columns), np.float32)),
                    float(stored.get("share", 0.0)),
                    float(stored["threshold"]),
                )
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise BadClassifier(f"{path.name} of this classifier is damaged.", "Export it again.") from error


def fit_gate(x: NDArray[np.float32], y: NDArray[np.int64], calibration: NDArray[np.float32], classes: int) -> Gate:
    """A gate from training features (N, D) and labels; its threshold from calibration features (M, D).

    Directions that hold less than a millionth of the variance are left out.
    """
    rows = even(x)
    means, whiten = _nearness(rows, y, classes)
    voice, offset = _voices(rows, y, classes)
    voices, share = _exchange(rows, y, classes)
    parts = {"means": means, "whiten": whiten, "voice": voices * voice, "offset": voices * (offset - 1)}
    parts["kept"] = rows[_some(y)]
    gate = Gate(**{name: part.astype(np.float32) for name, part in parts.items()}, share=share, threshold=math.inf)
    if len(calibration) < math.ceil(1 / (1 - ACCEPT)):
        return gate
    return replace(gate, threshold=float(np.quantile(gate.distance(calibration), ACCEPT)))


def density(rows: Doubles, kept: NDArray[np.floating]) -> Doubles:
    """(N,) logarithm of the density of ``kept`` (M, D) at ``rows`` (N, D), all of length 1; 0 where they all lie."""
    known, found = np.asarray(kept, np.float32).T, []
    for first in range(0, len(rows), AT_ONCE):
        near = KEEN * (rows[first : first + AT_ONCE].astype(np.float32) @ known - 1)
        most = near.max(axis=1)
        found.append(most + np.log(np.exp(near - most[:, None]).mean(axis=1)))
    return np.concatenate(found or [np.zeros(0)]).astype(np.float64)


def _some(y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which pictures the density is made of: all, or of each class as many, so that none crowds the others out."""
    order = np.random.default_rng(0).permutation(len(y))
    return np.sort(order[np.argsort(_turns(y[order]), kind="stable")[:KEPT]])


def _turns(y: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) how many pictures of its class come before each."""
    turn = np.zeros(len(y), dtype=np.int64)
    for label in np.unique(y):
        mine = np.flatnonzero(y == label)
        turn[mine] = np.arange(len(mine))
    return turn


def _nearness(rows: Doubles, y: NDArray[np.int64], classes: int) -> tuple[Doubles, Doubles]:
    """(C, k) class means in whitened coordinates, and (D, k) what whitens."""
    means = np.stack(
        [rows[y == label].mean(axis=0) if (y == label).any() else rows.mean(axis=0) for label in range(classes)]
    )
    whiten = _whitening(rows - means[y])
    return means @ whiten, whiten


def _to_nearest(rows: Doubles, means: NDArray[np.floating]) -> Doubles:
    """(N,) distance of whitened ``rows`` (N, k) to the nearest of ``means`` (C, k)."""
    middle = means.astype(np.float64)
    gaps = (rows**2).sum(axis=1)[:, None] + (middle**2).sum(axis=1) - 2 * rows @ middle.T  # (N, C)
    return np.asarray(np.sqrt(np.maximum(gaps.min(axis=1), 0)))


def _voices(rows: Doubles, y: NDArray[np.int64], classes: int) -> tuple[Doubles, Doubles]:
    """(D, C) weights and (C,) biases of a ridge regression onto 1 for a picture's own class and 0 for the others.

    The penalty is the mean of the variances: strong, so that what is said dies away beside the classes.
    """
    n, d = rows.shape
    mean, hot = rows.mean(axis=0), np.eye(classes)[y]
    centred, share = rows - mean, hot.mean(axis=0)
    penalty = max(float((centred**2).sum()) / d, 1e-12)
    if n < d:
        weight = centred.T @ np.linalg.solve(centred @ centred.T + penalty * np.eye(n), hot - share)
    else:
        weight = np.linalg.solve(centred.T @ centred + penalty * np.eye(d), centred.T @ (hot - share))
    return weight, share - mean @ weight


def _exchange(rows: Doubles, y: NDArray[np.int64], classes: int) -> tuple[float, float]:
    """How much distance one of a score is worth, and how much one of the density.

    On pictures that no fit saw, the score then varies like the distance, and the density like both together. 0 for too
    few.
    """
    new = _turns(y) % EVERY == 0
    known = ~new
    if known.sum() < 2 or new.sum() < 2:
        return 0.0, 0.0
    (means, whiten), (voice, offset) = (fit(rows[known], y[known], classes) for fit in (_nearness, _voices))
    far = _to_nearest(rows[new] @ whiten, means)
    said = (rows[new] @ voice + offset).max(axis=1)
    voices = _worth(far, said)
    return voices, _worth(far - voices * said, density(rows[new], rows[known][_some(y[known])]))


def _worth(one: Doubles, other: Doubles) -> float:
    """What ``other`` has to be multiplied by to vary like ``one``; 0 where it does not vary."""
    spread = float(other.std())
    return float(one.std()) / spread if spread > 1e-9 else 0.0


def _whitening(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """(D, k) after which the shrunk covariance of ``residuals`` (N, D) is the identity."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    n, d = residuals.shape
    shrinkage = float(ledoit_wolf_shrinkage(residuals, assume_centered=True))
    floor = shrinkage * float((residuals**2).sum()) / n / d
    if n < d:  # the covariance has n directions; all others share the floor
        _, s, vt = principal(residuals)
        variance, directions = (1 - shrinkage) * s**2 / n + floor, vt.T
        if floor > variance.max() * LEAST:
            steeper = directions * (1 / np.sqrt(variance) - 1 / np.sqrt(floor))
            return np.asarray(np.eye(d) / np.sqrt(floor) + steeper @ vt)
    else:
        variance, directions = np.linalg.eigh((1 - shrinkage) * residuals.T @ residuals / n)
        variance = variance + floor
    keep = variance > variance.max() * LEAST
    return np.asarray(directions[:, keep] / np.sqrt(variance[keep]))
