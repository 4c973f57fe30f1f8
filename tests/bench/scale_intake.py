"""Whether memory stays flat when a dataset grows tenfold: peak resident memory of each stage, in a process of its own.

Generates small JPEGs, then, first of a tenth and then of all: "read" takes them in without the search for lookalikes,
"intake" with it, "again" takes the same folder in a second time, "check" looks for faults (without a network, so
without doubting labels), "split" parts them. Prints the peak of the process, that of its largest child (which starts
with its parent's), the seconds each stage took, and the ratio of the peaks.

    python tests/bench/scale_intake.py [--pictures 100000] [--classes 100] [--scratch DIR] [--stages read check split]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from multiprocessing import Pool
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

STAGE = """
import json, resource, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from zoo.settings import Settings, usable_cores
from zoo.store import Store
data, home = Path({data!r}), Path({home!r})
store, settings = Store(home), Settings(home=home, offline=True, threads=usable_cores(), cache_gb=1000)
begun = time.perf_counter()
{work}
mine, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
peaks = {{"mb": mine.ru_maxrss / 1024, "child": children.ru_maxrss / 1024}}
print(json.dumps({{"seconds": time.perf_counter() - begun}} | peaks))
"""
KNOWN = """
from zoo.dataset import Dataset
dataset = Dataset.load(store, (home / "id").read_text())
"""
WORK = {
    "read": """
import zoo.intake
zoo.intake._groups = lambda pictures, readings, *rest: list(range(len(readings)))
(home / "id").write_text(zoo.intake.intake(data, store, settings).id)
""",
    "intake": """
from zoo.intake import intake
(home / "id").write_text(intake(data, store, settings).id)
""",
    "again": """
from zoo.intake import intake
intake(data, store, settings)
""",
    "check": KNOWN
    + """
from zoo.health import check
check(dataset, store, settings, labels=False)
""",
    "split": KNOWN
    + """
from zoo.dataset import split
split(dataset)
""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--scratch", type=Path, help="where pictures are made, and found again if they are there")
    parser.add_argument("--stages", nargs="+", default=list(WORK), choices=list(WORK))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        scratch = chosen.scratch or Path(own)
        found = {}
        for count in (chosen.pictures // 10, chosen.pictures):
            data = generated(scratch / f"{count}-{chosen.classes}", count, chosen.classes)
            with tempfile.TemporaryDirectory(dir=scratch) as home:
                found[count] = {stage: measured(stage, data, Path(home)) for stage in chosen.stages}
    few, many = found.values()
    times = max(found) / min(found)
    for stage in chosen.stages:
        for count, stages in found.items():
            one = stages[stage]
            line = f"{stage:<8} {count:>8} pictures  {one['mb']:7.0f} MB, child {one['child']:5.0f} MB"
            print(f"{line}  {one['seconds']:7.1f} s  {1000 * one['seconds'] / count:6.2f} ms each")
        ratio = many[stage]["mb"] / few[stage]["mb"]
        print(f"{stage:<8} peak memory x {ratio:.2f} for x {times:.0f} pictures")


def measured(stage: str, data: Path, home: Path) -> dict[str, Any]:
    code = STAGE.format(root=str(ROOT), data=str(data), home=str(home), work=WORK[stage])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    value: dict[str, Any] = json.loads(done.stdout)
    print(f"{stage} {data.parent.name}: {value}", file=sys.stderr, flush=True)
    return value


def generated(top: Path, count: int, classes: int) -> Path:
    if not (top / "done").exists():
        with Pool(2) as pool:
            pool.starmap(make, [(top, number, count, classes) for number in range(0, count, 1000)])
        (top / "done").write_bytes(b"")
    return top / "pictures"


def make(top: Path, first: int, count: int, classes: int) -> None:
    """A thousand JPEGs of 64 × 64, no two alike."""
    import numpy as np
    from PIL import Image

    for number in range(first, min(first + 1000, count)):
        rough = np.random.default_rng(number).integers(0, 255, (6, 6, 3), np.uint8)
        folder = top / "pictures" / f"class_{number % classes:05}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rough).resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number:07}.jpg", quality=80)


if __name__ == "__main__":
    main()
