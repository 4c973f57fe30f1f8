"""Memory and time of a probe whose features are read block by block from a file, beside one that holds them whole.

Each row is a fresh process on N synthetic rows of 1280 features in ten classes; the ratio is streamed to whole. What a
process needs before it has read any features is in its peak.

    python tests/bench/streamed.py [N ...]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
WIDTH, CLASSES, BLOCK = 1280, 10, 4096
WHOLE = 10_000  # more rows are not probed whole


def main() -> None:
    print(f"{'rows':>8} {'features':>10}   {'streamed':>18}   {'whole':>18}   ratio of memory, CPU time   difference")
    for n in rows_asked():
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), n)
            some = measured("streamed", folder)
            line = f"{n:>8} {n * WIDTH * 4 / 1e6:>7.0f} MB   {some['mb']:>8.0f} MB {some['cpu']:>5.1f} s"
            if n <= WHOLE:
                every = measured("whole", folder)
                gap = abs(np.load(Path(folder, "streamed.npy")) - np.load(Path(folder, "whole.npy"))).max()
                line += f"   {every['mb']:>8.0f} MB {every['cpu']:>5.1f} s"
                line += f"   {some['mb'] / every['mb']:>6.2f} {some['cpu'] / every['cpu']:>6.2f}   {gap:.0e}"
            print(line, flush=True)


def rows_asked() -> list[int]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    return list(parser.parse_args().rows)


def write(folder: Path, n: int) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, n)
    means = 0.2 * rng.normal(size=(CLASSES, WIDTH))
    np.save(folder / "y.npy", y)
    rows = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.float32, shape=(n, WIDTH))
    for first in range(0, n, BLOCK):
        part = y[first : first + BLOCK]
        rows[first : first + BLOCK] = means[part] + rng.normal(size=(len(part), WIDTH))


def measured(how: str, folder: str) -> dict[str, float]:
    line = [sys.executable, __file__, "--one", how, folder]
    found: dict[str, float] = json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout)
    return found


def one(how: str, folder: Path) -> None:
    from zoo import probe

    x, y = np.load(folder / "x.npy", mmap_mode="r"), np.load(folder / "y.npy")
    probe.IN_MEMORY = len(x)
    begun = time.process_time()
    found = probe.streamed(x, y) if how == "streamed" else probe.ridge(x, y)
    cpu = time.process_time() - begun
    np.save(folder / f"{how}.npy", found.scores)
    print(json.dumps({"cpu": cpu, "mb": peak_mb()}))


def peak_mb() -> float:
    """Most memory that this process had in use. On Linux rusage starts at the parent's, which wrote the rows."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return float(lines["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
