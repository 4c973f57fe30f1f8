"""How much an intake costs beyond what it cannot do without.

The floor reads and hashes every file's bytes and decodes each picture once, scaled as the studio keeps it, with as many
threads as the intake. The intake is the studio's own function in a fresh process, its confined child included: files
found and named, pictures decoded, checked, stored and grouped, the dataset saved; and the same without the search for
lookalikes, which is no part of reading them. All run by turns, each in a process of its own, and the ratios are those
of the medians.

    python tests/bench/intake.py DATA [--rounds 5]
    python tests/bench/intake.py --generate 3000
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

MEASURE = """
import resource, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
{work}
def spent():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
cpu, wall = spent(), time.perf_counter()
work(Path({data!r}), Path({home!r}), {threads})
print(spent() - cpu, time.perf_counter() - wall)
"""

FLOOR = """
import hashlib
from concurrent.futures import ThreadPoolExecutor
from zoo.decode import SUFFIXES, decode
from zoo.errors import BadPicture
from zoo.pictures import SIDE
def one(path):
    content = path.read_bytes()
    hashlib.sha256(content).hexdigest()
    try:
        decode(content, SIDE)
    except BadPicture:
        pass
def work(data, home, threads):
    paths = [path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES]
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, paths):
            pass
"""

UNGROUPED = """
import zoo.intake
zoo.intake._groups = lambda pictures, readings, *rest: list(range(len(readings)))
"""

INTAKE = """
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store
def work(data, home, threads):
    intake(data, Store(home), Settings(home=home, offline=True, threads=threads))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--generate", type=int, default=0, help="photograph-like JPEGs to make instead, 640 × 480")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    chosen = parser.parse_args()
    from zoo.settings import usable_cores

    with tempfile.TemporaryDirectory() as scratch:
        data = chosen.data or generated(Path(scratch, "data"), chosen.generate or 1000)
        pictures = sum(path.is_file() for path in data.rglob("*"))
        works = {"floor": FLOOR, "intake": INTAKE, "intake without the search for lookalikes": UNGROUPED + INTAKE}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
        for turn in range(chosen.rounds):
            for name, work in works.items():
                home = Path(scratch, f"{name}{turn}")
                found[name].append(measured(work, data, home, chosen.threads or usable_cores()))
    cpu = {name: statistics.median(one[0] for one in times) for name, times in found.items()}
    wall = {name: statistics.median(one[1] for one in times) for name, times in found.items()}
    print(f"{pictures} files")
    for name in found:
        ratios = f"{cpu[name] / cpu['floor']:6.2f} (CPU) {wall[name] / wall['floor']:6.2f} (wall)"
        print(f"{name:<40} {cpu[name]:7.2f} CPU s {wall[name]:7.2f} s wall   ratio {ratios}")


def measured(work: str, data: Path, home: Path, threads: int) -> tuple[float, float]:
    """CPU and wall seconds of ``work`` alone, in a fresh process that has imported all it needs."""
    code = MEASURE.format(root=str(ROOT), work=work, data=str(data), home=str(home), threads=threads)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    cpu, wall = done.stdout.split()
    return float(cpu), float(wall)


def generated(top: Path, count: int) -> Path:
    """JPEGs in ten classes, as smooth and as noisy as photographs are."""
    import numpy as np
    from PIL import Image

    for number in range(count):
        rng = np.random.default_rng(number)
        rough = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).resize(
            (640, 480), Image.Resampling.BICUBIC
        )
        noisy = np.asarray(rough, np.float32) + rng.normal(0, 6, (480, 640, 1))
        folder = top / f"class_{number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:06}.jpg", quality=88)
    return top


if __name__ == "__main__":
    main()
