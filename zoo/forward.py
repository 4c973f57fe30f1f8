"""Run a frozen backbone over pictures as fast as this machine does it, and say how fast that is."""

from __future__ import annotations

import copy
import ctypes
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zoo.backbone import Backbone, Picture, stack

if TYPE_CHECKING:
    import torch

BATCH = 16  # on CPUs the activations of more pictures fall out of the cache: 32 is slower than 16 there


@dataclass(frozen=True)
class Forward:
    """Features of N pictures: per tap (N, D_tap); wall seconds; milliseconds a picture, prepared and run.

    The milliseconds are the lower quartile of the batches': what else runs on the machine only ever adds to them.
    """

    taps: list[NDArray[np.float32]]
    seconds: float
    ms_per_picture: float


def forward(
    backbone: Backbone,
    pictures: Sequence[Picture],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    twins: Sequence[Backbone] = (),
) -> Forward:
    """Every picture's features. The next batch is prepared while the current one is in the network.

    ``twins`` are the same network on other devices, as ``twins_of`` gives them: batches go to whichever is free.
    """
    keep_freed_memory()
    start = time.perf_counter()
    chunks = [range(first, min(first + BATCH, len(pictures))) for first in range(0, len(pictures), BATCH)]
    if twins:
        outputs, spent = _shared([backbone, *twins], pictures, chunks, on_progress)
    else:
        outputs, spent = _alone(backbone, pictures, chunks, on_progress)
    taps = [np.concatenate(parts) for parts in zip(*outputs, strict=True)]
    return Forward(taps, time.perf_counter() - start, float(np.percentile(spent or [0.0], 25)) * 1000)


Found = tuple[list[list[NDArray[np.float32]]], list[float]]  # of every batch its taps, and seconds a picture
Told = Callable[[int, int], None]


def _alone(backbone: Backbone, pictures: Sequence[Picture], chunks: Sequence[range], on_progress: Told) -> Found:
    outputs: list[list[NDArray[np.float32]]] = []
    spent: list[float] = []
    with ThreadPoolExecutor(1) as pool:

        def prepare(chunk: range) -> NDArray[np.generic]:
            return stack(backbone, [pictures[index] for index in chunk])

        upcoming = pool.submit(prepare, chunks[0]) if chunks else None
        for number, chunk in enumerate(chunks):
            begun = time.perf_counter()
            batch = upcoming.result()  # type: ignore[union-attr]
            if number + 1 < len(chunks):
                upcoming = pool.submit(prepare, chunks[number + 1])
            outputs.append(backbone.forward(batch))
            spent.append((time.perf_counter() - begun) / len(chunk))
            on_progress(chunk[-1] + 1, len(pictures))
    return outputs, spent


def _shared(several: Sequence[Backbone], pictures: Sequence[Picture], chunks: Sequence[range], told: Told) -> Found:
    """As ``_alone``, on several devices at once: for each, one batch is in the network and one is being prepared."""
    free: SimpleQueue[Backbone] = SimpleQueue()
    for backbone in several:
        free.put(backbone)

    def one(chunk: range) -> tuple[list[NDArray[np.float32]], float]:
        batch = stack(several[0], [pictures[index] for index in chunk])
        backbone = free.get()
        begun = time.perf_counter()
        try:
            return backbone.forward(batch), (time.perf_counter() - begun) / len(chunk) / len(several)
        finally:
            free.put(backbone)

    outputs: list[list[NDArray[np.float32]]] = []
    spent: list[float] = []
    with ThreadPoolExecutor(2 * len(several)) as pool:
        for chunk, (taps, seconds) in zip(chunks, pool.map(one, chunks), strict=True):
            outputs.append(taps)
            spent.append(seconds)
            told(chunk[-1] + 1, len(pictures))
    return outputs, spent


def twins_of(backbone: Backbone) -> list[Backbone]:
    """``backbone`` again on every other CUDA device; none where it is no network of torch's or not on such."""
    import torch

    model: object = getattr(backbone, "model", None)
    if not isinstance(model, torch.nn.Module):
        return []
    here = next(model.parameters()).device
    if here.type != "cuda":
        return []
    others = [
        torch.device("cuda", number) for number in range(torch.cuda.device_count()) if number != (here.index or 0)
    ]
    return [twin(backbone, other) for other in others]


def twin(backbone: Backbone, where: torch.device) -> Backbone:
    """A copy of ``backbone``, whose network is torch's, on the device ``where``."""
    model = copy.deepcopy(backbone.model).to(where)  # type: ignore[attr-defined]
    return replace(backbone, model=model)  # type: ignore[type-var]


@cache
def device() -> torch.device:
    """Where networks run: the first CUDA device, else Apple's, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def use_threads(count: int) -> None:
    """Let torch compute with ``count`` threads."""
    import torch

    torch.set_num_threads(count)


@cache
def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory instead of handing it back to the kernel after every layer.

    Large activations are otherwise mapped and zeroed anew each time, which cost half of the CPU time of a small
    convolutional network when it was measured (``tests/bench/forward.py``). Elsewhere than on glibc it does nothing.
    Returns whether it took effect.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    trim_threshold, mmap_threshold = -1, -3  # from <malloc.h>
    return mallopt is not None and bool(mallopt(mmap_threshold, 1 << 30) and mallopt(trim_threshold, (1 << 31) - 1))
