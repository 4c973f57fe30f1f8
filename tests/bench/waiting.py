"""How long the threads of a training may wait by spinning: pictures a second, alone and beside one busy process.

Each row trains all layers of EfficientNet-Lite0 on one batch of noise in a process of its own, with as many threads as
there are cores: as OpenMP waits unless told otherwise, always asleep, and as the studio has it. The ratio is to the
first row of its half.

    python tests/bench/waiting.py [--seconds N]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
BUSY = "while True: pass"
BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(speed(asked.seconds))
        return
    from zoo.settings import wait_briefly

    ours: dict[str, str] = {}
    wait_briefly(ours)
    ways = {"as OpenMP does by itself": {}, "asleep": {"OMP_WAIT_POLICY": "PASSIVE"}, "as the studio has it": ours}
    for beside in (False, True):
        print("beside one busy process" if beside else "alone")
        first = 0.0
        for name, way in ways.items():
            with busy() if beside else contextlib.nullcontext():
                told = subprocess.run(
                    [sys.executable, __file__, "--one", "--seconds", str(asked.seconds)],
                    env=os.environ | way,
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                    start_new_session=True,  # or the kernel would weigh it together with the busy one
                ).stdout
            first = first or float(told)
            print(f"  {name:<26} {float(told):6.1f} pictures/s, ratio {float(told) / first:.2f}", flush=True)


@contextlib.contextmanager
def busy() -> Iterator[None]:
    other = subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True)
    try:
        yield
    finally:
        other.kill()
        other.wait()


def speed(seconds: float) -> float:
    """Pictures a second of whole training steps."""
    import timm
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = timm.create_model("tf_efficientnet_lite0", num_classes=6).train().to(memory_format=torch.channels_last)
    x = torch.randn(BATCH, 3, 224, 224).to(memory_format=torch.channels_last)
    y = torch.randint(0, 6, (BATCH,))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    step()
    begun, seen = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        seen += BATCH
    return seen / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
