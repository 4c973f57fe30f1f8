"""What a worker does with a run: train by its plan's strategy, calibrate, read the test part once, save."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.classifier import save
from trainer.conformal import set_threshold, thresholds
from trainer.evaluation import evaluate, fit_temperature
from trainer.events import Finished, Progress, Stopped
from trainer.evidence import MOST_TRAINING, NUMBERS, Evidence
from trainer.folder import RunFolder, stop_requested
from trainer.head import softmax
from trainer.job import Job, Trained
from trainer.networks import logits, soften
from trainer.novelty import Gate, fit_gate
from trainer.plan import MB
from trainer.results import promises
from trainer.strategies import strategy
from zoo.dataset import PARTS, Part
from zoo.forward import keep_freed_memory, use_threads
from zoo.judging import few_threads
from zoo.settings import Settings, launched_rank
from zoo.store import write_json

PACKAGES = ("torch", "timm", "transformers", "accelerate", "numpy", "pillow")


def work(run_dir: Path, settings: Settings, stop: Callable[[], bool] | None = None) -> None:
    """Carry out the plan in ``run_dir``; every process of a launched run calls it, the first one tells.

    Args:
        stop: whether a person wants it to stop, unless the run's folder is to be asked.

    Raises:
        StudioError: it cannot be carried out; the caller tells.
    """
    begun = time.perf_counter()
    folder = RunFolder(run_dir)
    keep_freed_memory()
    plan = folder.plan()
    settings = replace(settings, threads=max(1, settings.threads // plan.processes))
    use_threads(settings.threads)
    job = Job.open(plan, run_dir, settings, stop or (lambda: stop_requested(run_dir)))
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
        with few_threads(len(job.dataset)):
            folder.log.append(_finish(job, trained, begun))


def _finish(job: Job, trained: Trained, begun: float) -> Finished:
    """Calibrate, judge and save what was trained."""
    log = RunFolder(job.folder).log
    data, part = job.dataset, job.split
    log.append(Progress(stage="calibration", done=0, total=1))
    seen = {name: trained.embed(part.of(name)) for name in PARTS}
    learned = np.concatenate([part.of("train"), part.of("select")])
    calibration, test = part.of("calibration"), part.of("test")
    able = np.isin(data.y[calibration], data.y[learned])  # a class it cannot name tells nothing
    calibration, held = calibration[able], seen["calibration"][able]
    temperature = fit_temperature(logits(trained.network, held), data.y[calibration], trained.unseen)
    soften(trained.network, temperature)
    sure = softmax(logits(trained.network, held))
    gate = fit_gate(np.concatenate([seen["train"], seen["select"]]), data.y[learned], held, len(data.classes))
    log.append(Progress(stage="test", done=0, total=len(test)))
    probabilities = softmax(logits(trained.network, seen["test"]))
    names = tuple(data.items[index].name for index in test)
    report = evaluate(probabilities, data.y[test], data.classes, names, data.groups[test])
    for row in report.get("hardest", []):
        row["index"] = int(test[row["index"]])  # in the dataset, where the page finds the picture
    if report["n"]:
        newer = gate.distance(seen["test"]) / (gate.threshold if np.isfinite(gate.threshold) else np.nan)
        report |= promises(probabilities, data.y[test], sure, data.y[calibration], data.classes, newer)
    short = {name: report[name] for name in ("n", "accuracy", "interval", "balanced_accuracy", "ece")}
    report |= {"temperature": temperature, "expected": trained.expected}
    write_json(job.folder / "evaluation.json", report)
    facts = {
        "temperature": temperature,
        "temperature_folded": True,
        "set_threshold": set_threshold(sure, data.y[calibration]),
        "set_thresholds": thresholds(sure, data.y[calibration]),
        "unknown_threshold": gate.threshold if np.isfinite(gate.threshold) else None,
        "test": short,
        "passport": _passport(job),
    }
    _evidence(job, trained, seen, gate).save(job.folder)
    save(trained.network, job.folder / "classifier", data.classes, job.preprocessing, facts, gate)
    return Finished(
        test=short | {"expected": trained.expected},
        seconds=time.perf_counter() - begun,
        forward_seconds=trained.forward_seconds,
        peak_rss_mb=_peak_rss_mb(),
        peak_gpu_mb=_peak_gpu_mb(),
        disk_mb=RunFolder(job.folder).disk_mb() + (trained.kept_bytes + job.extractor.written) / MB,
    )


def _evidence(job: Job, trained: Trained, seen: dict[Part, NDArray[np.float32]], gate: Gate) -> Evidence:
    """What the finished classifier makes of the pictures of each part, whose features are in ``seen``."""
    rows, features = [job.split.of(name) for name in PARTS], list(seen.values())
    kept = np.sort(np.random.default_rng(job.plan.seed).permutation(len(rows[0]))[:MOST_TRAINING])
    rows[0], features[0] = rows[0][kept], features[0][kept]
    x = np.concatenate(features)
    threshold = gate.threshold if np.isfinite(gate.threshold) else np.nan
    return Evidence(
        np.concatenate(rows),
        np.repeat(np.arange(len(PARTS), dtype=np.uint8), [len(part) for part in rows]),
        softmax(logits(trained.network, x)).astype(np.float32),
        (gate.distance(x) / threshold).astype(np.float32),
        (x if x.size <= NUMBERS else x[:, :0]).astype(np.float16),
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


def _peak_gpu_mb() -> float | None:
    """The most that tensors took of the graphics card; None without one."""
    import torch

    return torch.cuda.max_memory_allocated() / MB if torch.cuda.is_initialized() else None


def _peak_rss_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / MB
