"""What a worker does with a run: train by its plan's strategy, calibrate, read the test part once, save."""

from __future__ import annotations

import platform
import resource
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from trainer.classifier import save
from trainer.evaluation import evaluate, fit_temperature
from trainer.events import Finished, Progress, Stopped
from trainer.folder import RunFolder, stop_requested
from trainer.head import softmax
from trainer.job import Job, Trained
from trainer.networks import logits, soften
from trainer.novelty import fit_gate, set_threshold
from trainer.strategies import strategy
from zoo.forward import keep_freed_memory, use_threads
from zoo.settings import Settings, launched_rank
from zoo.store import write_json

PACKAGES = ("torch", "timm", "transformers", "accelerate", "numpy", "pillow")


def work(run_dir: Path, settings: Settings) -> None:
    """Carry out the plan in ``run_dir``; every process of a launched run calls it, the first one tells.

    Raises:
        StudioError: it cannot be carried out; the caller tells.
    """
    begun = time.perf_counter()
    folder = RunFolder(run_dir)
    keep_freed_memory()
    plan = folder.plan()
    settings = replace(settings, threads=max(1, settings.threads // plan.processes))
    use_threads(settings.threads)
    job = Job.open(plan, run_dir, settings, lambda: stop_requested(run_dir))
    chosen = strategy(job.plan.strategy)
    first = not launched_rank()
    trained: Trained | None = None
    for event in chosen.fit(job):
        if isinstance(event, Trained):
            trained = event
        elif first:
            folder.log.append(event)
            if isinstance(event, Stopped):
                return
    if trained is not None and first:
        folder.log.append(_finish(job, trained, begun))


def _finish(job: Job, trained: Trained, begun: float) -> Finished:
    """Calibrate, judge and save what was trained."""
    log = RunFolder(job.folder).log
    data, part = job.dataset, job.split
    log.append(Progress(stage="calibration", done=0, total=1))
    known, calibration, test = (part.of("train", "select"), part.of("calibration"), part.of("test"))
    calibration = calibration[np.isin(data.y[calibration], data.y[known])]  # a class it cannot name tells nothing
    held = trained.embed(calibration)
    temperature = fit_temperature(logits(trained.network, held), data.y[calibration])
    soften(trained.network, temperature)
    sure = softmax(logits(trained.network, held))
    gate = fit_gate(trained.embed(known), data.y[known], held, len(data.classes))
    log.append(Progress(stage="test", done=0, total=len(test)))
    probabilities = softmax(logits(trained.network, trained.embed(test)))
    names = tuple(data.items[index].name for index in test)
    report = evaluate(probabilities, data.y[test], data.classes, names, data.groups[test])
    for row in report.get("hardest", []):
        row["index"] = int(test[row["index"]])  # in the dataset, where the page finds the picture
    short = {name: report[name] for name in ("n", "accuracy", "interval", "balanced_accuracy", "ece")}
    report |= {"temperature": temperature, "expected": trained.expected}
    write_json(job.folder / "evaluation.json", report)
    facts = {
        "temperature": temperature,
        "temperature_folded": True,
        "set_threshold": set_threshold(sure, data.y[calibration]),
        "unknown_threshold": gate.threshold if np.isfinite(gate.threshold) else None,
        "test": short,
        "passport": _passport(job),
    }
    save(trained.network, job.folder / "classifier", data.classes, job.preprocessing, facts, gate)
    return Finished(
        test=short | {"expected": trained.expected},
        seconds=time.perf_counter() - begun,
        forward_seconds=trained.forward_seconds,
        peak_rss_mb=_peak_rss_mb(),
    )


def _passport(job: Job) -> dict[str, Any]:
    """What it takes to say where this classifier is from, and to make it again."""
    data = job.dataset
    return {
        "dataset": data.id,
        "fingerprint": data.fingerprint,
        "title": data.title,
        "pictures": len(data),
        "split": job.split.id,
        "parts": {name: len(job.split.of(name)) for name in ("train", "select", "calibration", "test")},
        "plan": job.plan.as_json(),
        "weights": job.card.revision,
        "licence": job.card.licence,
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _peak_rss_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
