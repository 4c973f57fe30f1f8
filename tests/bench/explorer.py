"""What a relabel costs with the probe kept on the desk, and that it is the probe made from scratch. Random features.

python tests/bench/explorer.py [PICTURES] [FEATURES] [CLASSES]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

EDITS = 9


def main() -> None:
    import numpy as np

    from zoo.explorer import Desk
    from zoo.probe import ridge

    n, d, classes = [int(word) for word in (*sys.argv[1:4], *("5000", "1280", "10")[len(sys.argv) - 1 :])]
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, n)
    features = np.maximum(rng.normal(size=(n, d)) + rng.normal(size=(classes, d))[y] * 0.15, 0).astype(np.float32)
    groups = np.where(np.arange(n) < n // 5, np.arange(n) // 2, np.arange(n))  # a fifth comes in pairs

    begun = time.perf_counter()
    desk = Desk(features, y, groups, classes)
    laid = time.perf_counter() - begun
    taken = []
    for index in rng.choice(n, EDITS, replace=False):
        begun = time.perf_counter()
        standing = desk.relabel(int(index), int((desk.y[index] + 1) % classes))
        taken.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    probe = ridge(features, desk.y, groups, classes)
    scratch = time.perf_counter() - begun
    off = float(np.abs(probe.scores - desk.scores).max())
    low, high = standing.interval
    print(f"{n} pictures x {d} features, {classes} classes, a fifth in pairs")
    print(f"laid out                      {laid:8.3f} s")
    print(f"relabel to accuracy, median   {np.median(taken):8.3f} s   longest {max(taken):.3f} s")
    print(f"zoo.probe.ridge from scratch  {scratch:8.3f} s   ratio {scratch / np.median(taken):.0f}")
    print(f"accuracy {standing.accuracy:.4f} ({low:.4f} to {high:.4f}), from scratch {probe.accuracy:.4f}")
    print(f"largest difference of a left-out score from scratch: {off:.1e} ({'equal' if off < 1e-9 else 'NOT EQUAL'})")
    begun = time.perf_counter()
    removed = int(rng.integers(n))
    desk.remove(removed)
    seconds = time.perf_counter() - begun
    rest = np.delete(np.arange(n), removed)
    again = ridge(features[rest], desk.y, groups[rest], classes)
    print(f"remove to accuracy            {seconds:8.3f} s   off by {np.abs(again.scores - desk.scores).max():.1e}")


if __name__ == "__main__":
    main()
