"""The singular value decomposition, also of matrices that LAPACK's quick way gives up on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def thin_svd(x: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """(N, k), (k,) and (k, D) of finite ``x`` (N, D), k the lesser of N and D: ``u * s @ vt`` is ``x``.

    By divide and conquer (LAPACK's ``gesdd``), whose threads now and then fail to converge on centred features, which
    lack a few directions; then by the slower ``gesvd``.
    """
    try:
        u, s, vt = np.linalg.svd(x, full_matrices=False)
    except np.linalg.LinAlgError:
        from scipy.linalg import svd

        u, s, vt = svd(x, full_matrices=False, check_finite=False, lapack_driver="gesvd")
    return u, s, vt
