"""Transferability scores: what the literature uses in place of a probe. Shown beside it, never instead of it.

Pure arithmetic. Published evidence says that such scores mostly measure model size (arXiv 2510.06448).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zoo.probe import Floats, Ints


def logme(x: Floats, y: Ints) -> float:
    """LogME (You et al., ICML 2021): mean log evidence of a Bayesian linear fit to each class, per picture.

    The published code counts D values of the weights' precision but sums the determinant over only k = min(N, D) of
    them, which inflates the score where N < D; here both count k. The evidence is maximised exactly, over the ratio
    of the two precisions, instead of by the published fixed-point steps, which stop early.

    Args:
        x: (N, D) features. Columns of zeros change nothing.
        y: (N,) labels.
    """
    f = np.asarray(x, dtype=np.float64)
    u, s, _ = np.linalg.svd(f, full_matrices=False)
    keep = s > s[0] * 1e-12
    u, variance = u[:, keep], s[keep] ** 2
    targets = (y[:, None] == np.unique(y)).astype(np.float64)
    return float(np.mean([_evidence((u.T @ t) ** 2, variance, float(t @ t), len(f)) for t in targets.T]))


def _evidence(z2: NDArray[np.float64], variance: NDArray[np.float64], total: float, n: int) -> float:
    """Largest log evidence a picture, the noise's precision β profiled out.

    With r = α/β: β = n / (Σ z² r/(s²+r) + ‖y‖² − Σ z²), and the evidence is
    ½[k ln r + n ln β − Σ ln(r + s²) − n − n ln 2π].
    """
    from scipy.optimize import minimize_scalar

    residual = max(total - float(z2.sum()), 0.0)

    def loss(log_ratio: float) -> float:
        ratio = np.exp(log_ratio)
        beta = n / (float((z2 * ratio / (variance + ratio)).sum()) + residual)
        fit = len(variance) * log_ratio + n * np.log(beta) - np.log(ratio + variance).sum()
        return float(-0.5 * (fit - n - n * np.log(2 * np.pi)) / n)

    grid = np.log(variance.mean()) + np.linspace(-18, 18, 73)
    start = grid[int(np.argmin([loss(point) for point in grid]))]
    best = minimize_scalar(loss, bounds=(start - 0.5, start + 0.5), method="bounded", options={"xatol": 1e-9})
    return -float(best.fun)


def hscore(x: Floats, y: Ints) -> float:
    """H-score (Bao et al., ICIP 2019): trace of the features' inverse covariance times that of their class means.

    Between 0 and C − 1 where N is far above D. Where it is not, the covariance is nearly singular and useless features
    score high: use ``shrunk_hscore``.

    Args:
        x: (N, D) features.
        y: (N,) labels.
    """
    f = np.asarray(x, dtype=np.float64)
    inverse = np.linalg.pinv(np.atleast_2d(np.cov(f, rowvar=False)), hermitian=True)
    return float(np.sum(inverse * _between(f, y)))


def shrunk_hscore(x: Floats, y: Ints) -> float:
    """H-score with Ledoit–Wolf shrinkage of both covariances (Ibrahim et al., 2021); arguments as for ``hscore``."""
    from sklearn.covariance import LedoitWolf

    f = np.asarray(x, dtype=np.float64)
    fitted = LedoitWolf(store_precision=False).fit(f)
    between = (1 - fitted.shrinkage_) * _between(f, y)
    if fitted.shrinkage_ == 0 or not fitted.covariance_.any():
        return float(np.sum(np.linalg.pinv(fitted.covariance_, hermitian=True) * between))
    return float(np.trace(np.linalg.solve(fitted.covariance_, between)))


def _between(f: NDArray[np.float64], y: Ints) -> NDArray[np.float64]:
    """(D, D) covariance of the rows, each replaced by the mean of its class."""
    means = np.zeros_like(f)
    for label in np.unique(y):
        means[y == label] = f[y == label].mean(axis=0)
    return np.atleast_2d(np.cov(means, rowvar=False))
