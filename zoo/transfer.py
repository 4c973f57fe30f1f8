"""Transferability scores: what the literature uses in place of a probe. Shown beside it, never instead of it.

Pure arithmetic. Published evidence says that such scores mostly measure model size (arXiv 2510.06448), and several can
be fooled by width alone; ``logme``, ``shrunk_hscore`` and ``above_chance`` of the others cannot.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from zoo.probe import Floats, Ints, spectrum

GOLDEN = (5**0.5 - 1) / 2


def logme(x: Floats, y: Ints) -> float:
    """LogME (You et al., ICML 2021): mean log evidence of a Bayesian linear fit to each class, per picture.

    The published code counts D values of the weights' precision but sums the determinant over only k = min(N, D) of
    them, which inflates the score where N < D; here both count k. The evidence is maximised exactly, over the ratio
    of the two precisions, instead of by the published fixed-point steps, which stop early.

    Args:
        x: (N, D) features. Columns of zeros change nothing.
        y: (N,) labels.
    """
    u, variance = spectrum(np.asarray(x, dtype=np.float64))
    targets = (y[:, None] == np.unique(y)).astype(np.float64)
    return float(_evidence((u.T @ targets) ** 2, variance, targets.sum(axis=0), len(y)).mean())


def _evidence(
    z2: NDArray[np.float64], variance: NDArray[np.float64], total: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """(C,) largest log evidence a picture, the noise's precision β profiled out, found by golden sections.

    With r = α/β: β = n / (Σ z² r/(s²+r) + ‖y‖² − Σ z²), and the evidence is
    ½[k ln r + n ln β − Σ ln(r + s²) − n − n ln 2π].
    """
    residual = np.maximum(total - z2.sum(axis=0), 0.0)

    def evidence(log_ratio: NDArray[np.float64]) -> NDArray[np.float64]:
        ratio = np.exp(log_ratio)  # (C,)
        spread = ratio + variance[:, None]  # (k, C)
        beta = n / np.maximum((z2 * ratio / spread).sum(axis=0) + residual, 1e-300)
        fit: NDArray[np.float64] = len(variance) * log_ratio + n * np.log(beta) - np.log(spread).sum(axis=0)
        value: NDArray[np.float64] = 0.5 * (fit - n - n * np.log(2 * np.pi)) / n
        return value

    grid = np.log(variance.mean()) + np.linspace(-18, 18, 73)
    coarse = np.stack([evidence(np.full(len(total), point)) for point in grid])
    start = grid[coarse.argmax(axis=0)]
    low, high = start - 0.5, start + 0.5
    for _ in range(24):  # narrows the bracket to 1e-5, where the maximum is flat to 1e-10
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        rising = evidence(left) < evidence(right)
        low, high = np.where(rising, left, low), np.where(rising, high, right)
    return evidence((low + high) / 2)


def hscore(x: Floats, y: Ints) -> float:
    """H-score (Bao et al., ICIP 2019): trace of the features' inverse covariance times that of their class means.

    Between 0 and C − 1 where N is far above D. Where it is not, the covariance is nearly singular and useless features
    score high: use ``shrunk_hscore``.

    Args:
        x: (N, D) features.
        y: (N,) labels.
    """
    u, _ = spectrum(_centred(x))
    return float((_class_means(u, y) ** 2).sum())


def shrunk_hscore(x: Floats, y: Ints) -> float:
    """H-score with Ledoit–Wolf shrinkage of both covariances (Ibrahim et al., 2021); arguments as for ``hscore``.

    With centred F = U S Vᵀ the class means lie in the span of V, and the shrunk covariance is diagonal there: V itself
    is never needed. Columns that never vary say nothing and are left out: covariances would be shrunk towards them.
    """
    wide = np.asarray(x, dtype=np.float64)
    f = _centred(wide[:, np.ptp(wide, axis=0) > 0])
    n, d = f.shape
    if d == 0:
        return 0.0
    u, variance = spectrum(f)
    mu = variance.sum() / n / d
    raw = float((variance**2).sum()) / n**2
    beta = (float((np.einsum("nd,nd->n", f, f) ** 2).sum()) / n - raw) / (d * n)
    delta = (raw - 2 * mu * variance.sum() / n + d * mu**2) / d
    shrinkage = 0.0 if beta <= 0 or delta <= 0 else min(beta, delta) / delta
    shrunk = (1 - shrinkage) * variance / n + shrinkage * mu
    between = _class_means(u, y) ** 2 * variance / (n - 1)
    return float((1 - shrinkage) * (between / np.where(shrunk > 0, shrunk, np.inf)).sum())


def leep(probabilities: Floats, y: Ints) -> float:
    """LEEP (Nguyen et al., ICML 2020): mean log likelihood of the labels, told through the pretrained head's classes.

    Args:
        probabilities: (N, Z) of the pretrained classes, rows adding up to 1.
        y: (N,) labels.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    _, label = np.unique(y, return_inverse=True)
    joint = np.eye(int(label.max()) + 1)[label].T @ p  # (C, Z)
    given = joint / np.maximum(joint.sum(axis=0), 1e-300)
    return float(np.log(np.maximum(np.einsum("nz,nz->n", given[label], p), 1e-300)).mean())


def nce(guesses: Ints, y: Ints) -> float:
    """NCE (Tran et al., ICCV 2019): minus the labels' conditional entropy given the pretrained head's one guess.

    Args:
        guesses: (N,) pretrained class of each picture.
        y: (N,) labels.
    """
    both = np.stack([np.unique(guesses, return_inverse=True)[1], np.unique(y, return_inverse=True)[1]])
    joint = np.zeros(both.max(axis=1) + 1)
    np.add.at(joint, (both[0], both[1]), 1 / len(y))
    share = joint / joint.sum(axis=1, keepdims=True)
    return float((joint * np.log(np.where(share > 0, share, 1))).sum())


def transrate(x: Floats, y: Ints, distortion: float = 1e-4) -> float:
    """TransRate (Huang et al., ICML 2022): coding rate of all features less the mean of that of each class.

    It grows with width whether the features know anything or not: see ``above_chance``.

    Args:
        x: (N, D) features. Columns of zeros change nothing.
        y: (N,) labels.
    """
    f = _centred(x)
    return _rate(f, distortion) - _class_rate(f, y, distortion)


def class_rate(x: Floats, y: Ints, distortion: float = 1e-4) -> float:
    """What ``transrate`` takes off: the mean coding rate of the classes."""
    return _class_rate(_centred(x), y, distortion)


def _class_rate(f: NDArray[np.float64], y: Ints, distortion: float) -> float:
    return float(np.mean([_rate(f[y == label], distortion) for label in np.unique(y)]))


def above_chance(score: Callable[[Ints], float], y: Ints, shuffles: int = 3, seed: int = 0) -> float:
    """``score`` of the labels less its mean over shuffled ones: 0 for features that know nothing, however wide."""
    rng = np.random.default_rng(seed)
    return score(y) - float(np.mean([score(rng.permutation(y)) for _ in range(shuffles)]))


def softmax(logits: Floats) -> NDArray[np.float64]:
    """Rows of probabilities."""
    wide = np.asarray(logits, dtype=np.float64)
    power = np.exp(wide - wide.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = power / power.sum(axis=1, keepdims=True)
    return shares


def _centred(x: Floats) -> NDArray[np.float64]:
    f = np.asarray(x, dtype=np.float64)
    centred: NDArray[np.float64] = f - f.mean(axis=0)
    return centred


def _class_means(u: NDArray[np.float64], y: Ints) -> NDArray[np.float64]:
    """(C, k) mean of each class's rows, times the root of its size."""
    hot = (y[:, None] == np.unique(y)).astype(np.float64)
    means: NDArray[np.float64] = (hot.T @ u) / np.sqrt(hot.sum(axis=0))[:, None]
    return means


def _rate(f: NDArray[np.float64], distortion: float) -> float:
    """½ log det(I + FᵀF / (N ε)), by the smaller Gram matrix."""
    gram = f @ f.T if len(f) <= f.shape[1] else f.T @ f
    return 0.5 * float(np.linalg.slogdet(np.eye(len(gram)) + gram / (len(f) * distortion))[1])
