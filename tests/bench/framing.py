"""What of a picture the embedded networks are shown: all of it, or the centre that timm's settings for them cut out.

The same weights and pictures; the probe of a comparison on the last tap, each picture predicted by a fit without it.
Prints both accuracies and their paired difference, resampled by groups of pictures; the same of the larger input.

    python tests/bench/framing.py DATA [DATA ...]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from numpy.typing import NDArray

from zoo import sources
from zoo.backbone import Backbone, Preprocessing
from zoo.dataset import Dataset
from zoo.forward import forward, use_threads
from zoo.intake import intake
from zoo.pictures import SIDE, Pictures
from zoo.probe import ridge
from zoo.resample import accuracies, difference
from zoo.settings import Settings
from zoo.store import Store

CENTRE = {"tf_efficientnet_lite0": 0.875, "tf_efficientnet_lite1": 0.882, "tf_efficientnet_lite2": 0.890}  # timm's
LARGER = "tf_efficientnet_lite2_384"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), offline=True, threads=os.cpu_count() or 1)
        use_threads(settings.threads)
        for data in asked.data:
            bench(intake(data, Store(settings.home), settings), settings)


def bench(data: Dataset, settings: Settings) -> None:
    print(f"{data.title}: {len(data)} pictures", flush=True)
    pictures = Pictures.open(Store(settings.home), data, max(SIDE, 384))
    rows: dict[str, NDArray[np.bool_]] = {}
    for name, share in CENTRE.items():
        network = sources.load(f"embedded/{name}", settings)
        rows[name] = right(network, network.card.preprocessing, data, pictures)
        centre = replace(network.card.preprocessing, crop=share, squash=False)
        told(f"{name}, whole against centre", rows[name], right(network, centre, data, pictures), data)
    larger = sources.load(f"embedded/{LARGER}", settings)
    own = LARGER.rpartition("_")[0]
    told(f"{LARGER} against {own}", right(larger, larger.card.preprocessing, data, pictures), rows[own], data)


def right(network: Backbone, shown: Preprocessing, data: Dataset, pictures: Pictures) -> NDArray[np.bool_]:
    """(N,) whether the probe without it is right on each picture, prepared as ``shown``."""
    framed = replace(network, card=replace(network.card, preprocessing=shown))  # type: ignore[type-var]
    x = forward(framed, [pictures[index] for index in range(len(data))]).taps[-1]
    return np.asarray(ridge(x, data.y, data.groups).predicted == data.y)


def told(what: str, one: NDArray[np.bool_], other: NDArray[np.bool_], data: Dataset) -> None:
    low, high = (100 * bound for bound in difference(*accuracies(np.stack([one, other]), data.groups).T))
    gap = 100 * (one.mean() - other.mean())
    print(f"  {what}: {one.mean():.3f}, {other.mean():.3f}: {gap:+.1f} points ({low:+.1f} to {high:+.1f})", flush=True)


if __name__ == "__main__":
    main()
