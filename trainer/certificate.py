"""Whether what is taken away answers as the classifier did, on pictures held out: a certificate, or a refusal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import BadExport
from zoo.settings import child_environment

TOLERANCE = 0.01  # largest difference of a probability
AGREEMENT = 0.99  # least share of the same first class: two classes within the tolerance may change places

Rows = NDArray[np.float64]


@lru_cache(maxsize=2)
def truth(classifier: Path, paths: tuple[Path, ...]) -> Rows:
    """(N, C) what the classifier itself says, by torch."""
    from trainer.classifier import Classifier
    from zoo.decode import read_picture

    return Classifier.load(classifier).probabilities([read_picture(path) for path in paths])


def compared(ours: Rows, theirs: Rows, seconds: Sequence[float], engine: str, tolerance: float) -> dict[str, Any]:
    """The certificate of (N, C) answers.

    Raises:
        BadExport: they are not the classifier's.
    """
    agreement = float((theirs.argmax(1) == ours.argmax(1)).mean())
    gap = float(np.abs(theirs - ours).max())
    if not (agreement >= AGREEMENT and gap <= tolerance):
        raise BadExport(
            f"The export agrees on {agreement:.1%} of {len(ours)} pictures, probabilities differ by up to {gap:.2g}.",
            "It was not kept. Export it as a folder, and report this with the backbone.",
        )
    return measured(ours, theirs, seconds, engine) | {"tolerance": tolerance}


def measured(ours: Rows, theirs: Rows, seconds: Sequence[float], engine: str) -> dict[str, Any]:
    """How far two sets of (N, C) answers agree, and how long one took in milliseconds."""
    ms = 1000 * np.asarray(seconds)
    return {
        "pictures": len(ours),
        "agreement": float((theirs.argmax(1) == ours.argmax(1)).mean()),
        "max_abs_dp": float(np.abs(theirs - ours).max()),
        "latency_ms": {"p50": round(float(np.median(ms)), 2), "p95": round(float(np.quantile(ms, 0.95)), 2)},
        "engine": engine,
    }


def asked(program: Path, paths: Sequence[Path]) -> tuple[Rows, list[float]]:
    """(N, C) probabilities and seconds as the exported ``program`` itself gives them, in a process of its own.

    Raises:
        BadExport: it does not run here.
    """
    done = subprocess.run(
        [sys.executable, "-E", "-s", program.name, "-", "--json"],
        cwd=program.parent,
        env=child_environment(),
        input="\0".join(map(str, paths)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
        raise BadExport(f"The exported program does not run here: {why}", "Report this with the backbone.")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return np.array([row["probabilities"] for row in rows]), [row["seconds"] for row in rows]
