"""Memory and seconds of a step for each of two processes, with copies of a network and with shares of it (FSDP).

A large network of timm's with random weights learns from a few generated pictures, all of its layers, with AdamW,
averaging and WiSE-FT on. Memory is the most a process took during its last steps, and with the checkpoint after them,
what it took before it had a network subtracted; what is freed goes back to the kernel at once, so that it is what
tensors take. The two processes speak over gloo and have one thread each.

    python tests/bench/shares.py [--network NAME] [--batch B] [--steps N]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="vit_base_patch16_224.augreg2_in21k_ft_in1k")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        compare(given, Path(home))


def compare(given: argparse.Namespace, home: Path) -> None:
    from tests.conftest import classes_of, random_weights
    from trainer.plan import Plan
    from zoo.intake import intake
    from zoo.settings import Settings
    from zoo.store import Store

    random_weights(home, given.network)
    (home / "pictures").mkdir()
    pictures = classes_of(home / "pictures", (4 * given.batch * given.steps, 20, 20))
    dataset = intake(pictures, Store(home), Settings(home=home, offline=True))
    for sharded in (False, True):
        plan = Plan(
            dataset=dataset.id, backbone=f"timm/{given.network}", strategy="full", processes=2, batch=given.batch,
            learning_rate=1e-5, sharded=sharded,
        )  # fmt: skip
        folder = home / f"run-{sharded}"
        folder.mkdir()
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        line = [__file__, "--of", str(home), json.dumps(plan.as_json()), str(folder), str(given.steps)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
        subprocess.run([sys.executable, *launcher, *line], check=True, cwd=ROOT, env=environment)
        found = [json.loads(path.read_text()) for path in sorted(folder.glob("rank-*.json"))]
        print("shares" if sharded else "copies", *found)


def one(home: Path, plan: str, folder: Path, steps: int) -> None:
    """What one of the processes takes."""
    import torch

    from trainer import finetune
    from trainer.acceleration import release
    from trainer.events import Step
    from trainer.job import Job
    from trainer.plan import Plan
    from zoo.settings import Settings, launched_rank

    torch.set_num_threads(1)
    finetune.SAVE_EVERY = 1e9  # one checkpoint, at the end
    settings, taken = Settings(home=home, offline=True, threads=1), list[float]()
    job = Job.open(Plan.from_json(json.loads(plan)), folder, settings, lambda: len(taken) >= steps)
    before = memory("VmRSS")
    network = job.backbone.network(len(job.dataset.classes)).requires_grad_(True)
    job.__dict__.pop("backbone")
    peak = 0.0
    since = time.perf_counter()
    for event in finetune.finetune(job, network):
        if isinstance(event, Step):
            taken.append(time.perf_counter() - since)
            peak = memory("VmHWM")  # of this step, and of those before it from the third on
            if len(taken) == 2:
                release()
                Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten
            since = time.perf_counter()
    row = {
        "megabytes": round(peak - before),
        "with a checkpoint": round(memory("VmHWM") - before),
        "seconds": round(statistics.median(taken[2:]), 2),
    }
    (folder / f"rank-{launched_rank()}.json").write_text(json.dumps(row))


def memory(name: str) -> float:
    """Megabytes, as the kernel has them of this process."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    if sys.argv[1:2] == ["--of"]:
        one(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
