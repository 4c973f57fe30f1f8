"""How much a comparison costs beyond what it cannot do without.

The floor is one decode of every picture and one forward pass of every picture through each network, torch's eager one
in channels-last layout, as this machine does them now. The comparison is the command itself: cold, in an empty home;
again, everything known; fresh, with the engines that the cold one exported but without its features. Prints CPU
seconds and their ratio to the floor; everything runs --rounds times in turn, and the least of each counts.
With --budgets it prints instead, for each, the wall seconds that a cold comparison took of those it was given.

    python tests/bench/compare.py DATA [--backbones ID ...] [--rounds N] [--budgets SECONDS ...]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--backbones", nargs="+")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--budgets", nargs="+", type=float)
    chosen = parser.parse_args()
    from zoo.compare import EMBEDDED

    backbones = tuple(chosen.backbones or EMBEDDED)
    if chosen.budgets:
        budgets(chosen.data, backbones, chosen.budgets)
        return
    costs: dict[str, list[tuple[float, float]]] = {"cold": [], "again": [], "fresh": [], "floor": []}
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            for name, more in (("cold", []), ("again", []), ("fresh", ["--fresh"])):
                cpu, wall, found = command(chosen.data, backbones, home, *more)
                costs[name].append((cpu, wall))
            costs["floor"].append(floors(chosen.data, backbones, home))
    for row in found["backbones"]:
        low, high = row["interval"]
        print(f"{row['id']:<36} {row['accuracy']:.3f} ({low:.3f}-{high:.3f})  {row['ms_per_picture']:.1f} ms a picture")
    print(f"{found['baseline']['id']:<36} {found['baseline']['accuracy']:.3f}")
    seen, total = found["pictures"], found["pictures"] + found["held_back"]
    part, everything = (min(floor) for floor in zip(*costs.pop("floor"), strict=True))
    print(f"torch floor, all {total} pictures: {everything:.1f} CPU s; the {seen} compared: {part:.1f} CPU s")
    for name, runs in costs.items():
        cpu, wall = (min(figures) for figures in zip(*runs, strict=True))
        print(
            f"{name:<6} {cpu:7.1f} CPU s  {wall:6.1f} s wall   {cpu / everything:.2f} of the floor "
            f"({cpu / part:.2f} of that of the compared)"
        )


def budgets(data: str, backbones: tuple[str, ...], seconds: list[float]) -> None:
    """What became of each budget, in an empty home each time."""
    for given in seconds:
        with tempfile.TemporaryDirectory() as home:
            _, wall, found = command(data, backbones, Path(home), "--budget", str(given))
        every = found["pictures"] + found["held_back"]
        print(
            f"budget {given:6.0f} s: taken {wall:6.1f} s, {wall / given:.2f} of it; "
            f"{found['pictures']} of {every} pictures compared, {found['held_back']} held back",
            flush=True,
        )


def command(data: str, backbones: tuple[str, ...], home: Path, *more: str) -> tuple[float, float, dict[str, Any]]:
    """CPU seconds of the command and its children, wall seconds, and what it printed."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    line = [
        sys.executable,
        "-m",
        "zoo",
        "compare",
        data,
        *more,
        "--json",
        "--home",
        str(home),
        "--backbones",
        *backbones,
    ]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - begun, json.loads(done.stdout)


def floors(data: str, backbones: tuple[str, ...], home: Path) -> tuple[float, float]:
    """CPU seconds of the bare work: on the pictures that are compared, and on all of them."""
    import torch

    from zoo import sources
    from zoo.backbone import Picture, stack
    from zoo.dataset import split
    from zoo.decode import read_picture
    from zoo.forward import BATCH, keep_freed_memory
    from zoo.intake import intake
    from zoo.settings import Settings
    from zoo.store import Store

    settings = Settings(home=home, offline=True, threads=os.cpu_count() or 1)
    dataset = intake(data, Store(home), settings)
    keep_freed_memory()
    torch.set_num_threads(settings.threads)
    pictures: list[Picture] = []

    def decode() -> None:
        pictures.extend(read_picture(dataset.root / item.file, side=320) for item in dataset.items)

    decoding = spent(decode)
    forwarding = 0.0
    for name in backbones:
        backbone = sources.load(name, settings)
        batches = [stack(backbone, pictures[first : first + BATCH]) for first in range(0, len(pictures), BATCH)]
        backbone.forward(batches[0])

        def forward(run: Any = backbone.forward, over: Any = batches) -> None:
            for batch in over:
                run(batch)

        forwarding += spent(forward)
    share = 1 - len(split(dataset).of("test")) / len(dataset)
    return decoding + share * forwarding, decoding + forwarding


def spent(work: Callable[[], None]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


if __name__ == "__main__":
    main()
