"""The studio's runs against what people use elsewhere: accuracy on the same held-out pictures, CPU seconds in all.

Rivals start from the same weights and are given every picture outside the test part: fastai's vision_learner with
fine_tune, and transformers' Trainer with AutoTrain's defaults (rival_fastai.py and rival_trainer.py, each a process of
its own). The studio's are `python -m trainer fit` in empty homes, reading the pictures included: its own choice
(--strategy auto, a comparison first), a linear head without one, last_blocks, and all layers for five passes. Every
split (--seeds) has a test part of its own; answers to all of them are pooled, and differences are resampled by groups
of pictures. CPU seconds are those of all processes, of which the machine's other work changes little. What is in --home
is not run again.

    python tests/bench/rivals.py DATA [DATA ...] [--seeds N] [--limit N] [--backbone ID] [--home DIR]
        [--only NAME ...] [--epochs N] [--python PYTHON_WITH_FASTAI]

A claim is met where the difference's 95 % interval does not reach below −1 point and the ratio is not above its bound.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
sys.path.insert(0, str(ROOT))

OURS = {  # of all layers five passes, whether or not they still gain
    "auto": ("auto",),
    "head": ("linear_head",),
    "last_blocks": ("last_blocks",),
    "full": ("full", "--epochs", "5", "--patience", "0"),
}
RIVALS = {"fastai": 3, "trainer": 3}  # passes: AutoTrain's default, and as many after fastai's frozen one
CLAIMS = (
    ("auto", "fastai", 1 / 10),
    ("auto", "trainer", 1 / 5),
    ("head", "fastai", 1 / 10),
    ("head", "trainer", 1 / 5),
    ("last_blocks", "full", 1 / 3),
)
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--seeds", type=int, default=1, help="splits, each with a test part of its own")
    parser.add_argument("--limit", type=int, help="pictures of each dataset at most, classes keeping their shares")
    parser.add_argument("--backbone", default="embedded/tf_efficientnet_lite0")
    parser.add_argument("--home", type=Path, help="keep every result there, so that a second bench is quick")
    parser.add_argument("--only", nargs="+", choices=[*OURS, *RIVALS], default=[*OURS, *RIVALS])
    parser.add_argument("--epochs", type=int, help="fastai's passes", default=RIVALS["fastai"])
    parser.add_argument("--python", default=sys.executable, help="one that has tests/bench/requirements.txt")
    asked = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1)  # the supervisor and its workers outlive `fit` and are waited for here
    with tempfile.TemporaryDirectory() as scratch:
        for data in asked.data:
            bench(data, asked, Path(scratch))


def bench(data: str, asked: argparse.Namespace, scratch: Path) -> None:
    from tests.bench.regret import limited
    from zoo.intake import intake
    from zoo.settings import Settings
    from zoo.store import Store

    home = (asked.home or scratch) / f"{Path(data).name}-{asked.limit or 'all'}"
    part = home / f"{Path(data).name}-{asked.limit}"
    folder = str(part) if part.is_dir() else limited(data, asked.limit, home)
    settings = Settings(home=home / "home", offline=True, threads=os.cpu_count() or 1)
    dataset = intake(folder, Store(settings.home), settings)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in asked.only}
    for seed in range(asked.seeds):
        for name in asked.only:
            passes = f"-{asked.epochs}" if name == "fastai" else ""
            kept = home / f"{asked.backbone.replace('/', '-')}-{name}{passes}-{seed}.json"
            if not kept.exists():
                with tempfile.TemporaryDirectory() as room:
                    run = ours if name in OURS else rival
                    kept.write_text(json.dumps(run(name, folder, dataset, seed, asked, settings, Path(room))))
            results[name].append(json.loads(kept.read_text()))
            told(f"{Path(data).name} split {seed}", name, results[name][-1:])
    print(f"{Path(data).name}: {len(dataset)} pictures, {asked.seeds} splits, {asked.backbone}")
    for name, rows in results.items():
        told("", name, rows)
    for mine, other, bound in CLAIMS:
        if mine in results and other in results:
            claim(mine, other, bound, results, dataset, asked.seeds)


def claim(
    mine: str, other: str, bound: float, results: dict[str, list[dict[str, Any]]], dataset: Any, seeds: int
) -> None:
    """Print the paired difference on pictures that both answered, and the ratio of CPU seconds."""
    from zoo.dataset import split
    from zoo.resample import accuracies, difference

    tests = np.concatenate([split(dataset, seed).of("test") for seed in range(seeds)])
    right = np.array([np.concatenate([row["right"] for row in results[name]]) for name in (mine, other)], dtype=bool)
    low, high = (100 * bound for bound in difference(*accuracies(right, dataset.groups[tests]).T))
    points = 100 * (right[0].mean() - right[1].mean())
    cost = cpu(results[mine]) / cpu(results[other])
    words = ["met" if low >= -1 else "not met", "met" if cost <= bound else "not met"]
    print(
        f"  {mine} against {other}: {points:+.1f} points ({low:+.1f} to {high:+.1f}; not below -1: {words[0]}), "
        f"{cost:.3f} of its CPU seconds (at most {bound:.3f}: {words[1]})"
    )


def cpu(rows: Sequence[dict[str, Any]]) -> float:
    return float(np.mean([row["cpu"] for row in rows]))


def told(where: str, name: str, rows: Sequence[dict[str, Any]]) -> None:
    right = np.concatenate([row["right"] for row in rows])
    more = {row["strategy"] for row in rows if "strategy" in row}
    print(
        f"{where}  {name:<12} {100 * np.mean(right):5.1f} % of {len(right)}  {cpu(rows):7.1f} CPU s  {', '.join(more)}",
        flush=True,
    )


def ours(
    name: str, data: str, dataset: Any, seed: int, asked: argparse.Namespace, settings: Any, room: Path
) -> dict[str, Any]:
    """A run of the studio's in an empty home."""
    from trainer.classifier import Classifier
    from zoo.dataset import split
    from zoo.pictures import SIDE, Pictures
    from zoo.store import Store

    line = [sys.executable, "-m", "trainer", "fit", data, "--backbone", asked.backbone, "--seed", str(seed), "--json"]
    line += ["--home", str(room), "--strategy", *OURS[name]]
    spent, out = counted(line)
    found = json.loads(out)
    classifier, test = Classifier.load(Path(found["classifier"])), split(dataset, seed).of("test")
    size = classifier.preprocessing.size / classifier.preprocessing.crop
    pictures = Pictures.open(Store(settings.home), dataset, max(SIDE, int(size)))
    said = classifier.probabilities([pictures[int(index)] for index in test]).argmax(axis=1)
    right = (said == dataset.y[test]).tolist()
    assert abs(np.mean(right) - found["test"]["accuracy"]) < 0.02, "the run had another test part"
    return spent | {"right": right, "strategy": found["strategy"], "run": found["actual"]}


def rival(
    name: str, data: str, dataset: Any, seed: int, asked: argparse.Namespace, settings: Any, room: Path
) -> dict[str, Any]:
    """The same split and weights in the rival's own process."""
    from zoo import saved, sources
    from zoo.backbone import Trainable
    from zoo.dataset import split

    backbone, parts = sources.load(asked.backbone, settings), split(dataset, seed)
    assert isinstance(backbone, Trainable)
    preprocessing, folder = backbone.card.preprocessing, room / "network"
    folder.mkdir()
    saved.write(backbone.network(len(dataset.classes)), folder, dataset.classes, preprocessing)
    test = parts.of("test")
    job = {
        "train": _rows(dataset, parts.of("train", "select", "calibration")),
        "test": _rows(dataset, test),
        "classes": dataset.classes,
        "network": backbone.card.name,
        "folder": str(folder),
        "weights": str(folder / "model.safetensors"),
        "size": preprocessing.size,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "seed": seed,
        "epochs": asked.epochs if name == "fastai" else RIVALS[name],
    }
    (room / "job.json").write_text(json.dumps(job))
    script = HERE / f"rival_{name}.py"
    spent, _ = counted([asked.python, str(script), str(room / "job.json"), str(room / "answer.json")])
    said = json.loads((room / "answer.json").read_text())
    truth = [dataset.classes[label] for label in dataset.y[test]]
    return spent | {"right": [one == other for one, other in zip(said, truth, strict=True)]}


def _rows(dataset: Any, indices: Any) -> list[tuple[str, str]]:
    items = [dataset.items[index] for index in indices]
    return [(str(dataset.root / item.file), dataset.classes[item.label]) for item in items]


def counted(line: list[str]) -> tuple[dict[str, float], str]:
    """CPU and wall seconds of a command and of all it leaves behind, which is waited for; what it printed."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}\n{done.stderr[-3000:]}")
    wall = time.perf_counter() - begun
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": spent, "wall": wall}, done.stdout


if __name__ == "__main__":
    main()
