"""What keeping freed memory, threads that wait briefly, and the batch are worth to a frozen forward pass here.

Each row is the same network on the same pictures; the ratio is to the first row. Rows run in processes of their own,
since memory once kept stays kept.

    python tests/bench/forward.py [BACKBONE]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
PICTURES = 96


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "embedded/tf_efficientnet_lite0"
    first = 0.0
    print(f"{name}, {PICTURES} pictures            CPU ms/picture  wall ms/picture  ratio of CPU")
    for keep, idle in ((0, 0), (1, 0), (1, 1)):
        for batch in (32, 16, 1):
            line = [sys.executable, __file__, "--one", name, str(keep), str(idle), str(batch)]
            cpu, wall = json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout)
            first = first or cpu
            waits = "brief" if idle else "long"
            label = f"freed memory {'kept' if keep else 'returned'}, {waits} waits, batch {batch}"
            print(f"{label:<40} {cpu:>14.1f} {wall:>16.1f} {cpu / first:>13.2f}")


def one(name: str, keep: bool, idle: bool, batch: int) -> None:
    from zoo.settings import wait_briefly

    if idle:
        wait_briefly()
    import numpy as np
    import torch

    from zoo import sources
    from zoo.forward import keep_freed_memory
    from zoo.settings import Settings, usable_cores

    if keep:
        keep_freed_memory()
    torch.set_num_threads(usable_cores())
    with tempfile.TemporaryDirectory() as home:
        backbone = sources.load(name, Settings(home=Path(home), offline=True))
    size = backbone.card.preprocessing.size
    x = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    backbone.forward(x)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(PICTURES // batch):
        backbone.forward(x)
    seen = PICTURES // batch * batch
    print(json.dumps([(time.process_time() - cpu) / seen * 1000, (time.perf_counter() - wall) / seen * 1000]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3] == "1", sys.argv[4] == "1", int(sys.argv[5]))
    else:
        main()
