"""What a dataset asks of its training: whole pictures where they are long, rare classes shown more, blends where many.

What may be mirrored or turned is tried instead of guessed (``trainer.symmetry``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.dataset import Dataset, split

LONG = 2.0  # times as long as wide: of such a picture a centre crop shows less than half
UNEVEN = 3.0  # times as many pictures in the largest class as in the smallest
MANY = 10_000  # training pictures from which blending gives more than it costs
LOOKED_AT = 2_000


def fitting(dataset: Dataset, seed: int) -> dict[str, tuple[Any, str]]:
    """Fields of a plan that ``dataset`` wants otherwise than usual, each with the reason in a sentence."""
    found: dict[str, tuple[Any, str]] = {}
    train = split(dataset, seed).of("train")
    looked = np.random.default_rng(0).permutation(train)[:LOOKED_AT].tolist()
    sides = np.array([(dataset.items[index].width, dataset.items[index].height) for index in looked]).reshape(-1, 2)
    ratios = sides.max(axis=1) / np.maximum(sides.min(axis=1), 1)
    if len(ratios) and float(np.median(ratios)) > LONG:
        found["framing"] = (
            "squash",
            (
                f"Half of the pictures are more than {np.median(ratios):.1f} times as long as wide: a centre crop "
                "would cut most of them away, so they are shown whole, squashed."
            ),
        )
    counts = np.bincount(dataset.y[train])
    counts = counts[counts > 0]
    if len(counts) > 1 and counts.max() >= UNEVEN * counts.min():
        found["balance"] = (
            "sample",
            (
                f"The largest class has {counts.max()} pictures to learn from, the smallest {counts.min()}: "
                "training shows every class equally often."
            ),
        )
    if len(train) >= MANY:
        found["mixup"] = 0.2, f"With {len(train)} pictures to learn from, blending two of them keeps it from certainty."
    return found
