"""What accelerate, torch's compiler and the trackers are told, and what happens when memory runs out."""

from __future__ import annotations

import ctypes
import gc
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

from trainer.plan import Plan
from zoo.errors import BadPlan
from zoo.forward import device as best_device
from zoo.store import read_json, write_json

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn

EARNS = 2_000  # steps: compiling takes a minute or two, and wins a tenth to a third of each step after that
PIECES = "pieces.json"
STARVED = ("could not create a primitive", "could not execute a primitive")  # oneDNN, where it gets no memory
INSTALL = {"tensorboard": "tensorboard", "trackio": "trackio"}


def accelerator_for(plan: Plan, folder: Path) -> Accelerator:
    """The accelerator of one process of a run.

    Raises:
        BadPlan: the plan wants a tracker that is not installed.
    """
    import torch
    from accelerate import Accelerator

    where, precision = best_device(), plan.precision
    if precision == "auto":
        fast = where.type == "cuda"
        precision = ("bf16" if torch.cuda.is_bf16_supported() else "fp16") if fast else "no"
    accelerator = Accelerator(
        cpu=where.type == "cpu",
        mixed_precision=precision,
        step_scheduler_with_optimizer=False,
        log_with=_tracker(plan.tracker),
        project_dir=folder / "tracker",
    )
    if plan.tracker != "none":
        told = {name: value for name, value in plan.as_json().items() if value is not None}
        again = {"name": folder.name, "resume": "allow", "embed": False}  # a resumed run goes on with its curves
        accelerator.init_trackers("transfer-zoo", config=told, init_kwargs={"trackio": again})
    return accelerator


def _tracker(name: str) -> str | None:
    if name == "none":
        return None
    if find_spec(INSTALL[name]) is None:
        raise BadPlan(f"{name} is not installed here.", f"pip install {INSTALL[name]}, or choose no tracker.")
    return name


def lighten(network: nn.Module) -> None:
    """Let ``network`` compute activations again instead of keeping them (Chen et al. 2016).

    Raises:
        BadPlan: it cannot.
    """
    body = getattr(network, "body", network)
    for name in ("set_grad_checkpointing", "gradient_checkpointing_enable"):  # timm's, transformers'
        if hasattr(body, name):
            try:
                getattr(body, name)()
            except (AssertionError, ValueError, NotImplementedError):
                break
            return
    raise BadPlan("This network cannot save memory by computing twice.", "Turn checkpointing off, or lower the batch.")


def compiles(plan: Plan, steps: int, device: str) -> bool:
    """Whether to compile: where the plan says so, or where it says "auto" and the GPU's steps are many enough.

    Raises:
        BadPlan: the plan says so, and there is nothing to compile with.
    """
    if plan.compile == "auto":
        return device == "cuda" and not plan.sharded and steps >= EARNS and find_spec("triton") is not None
    if plan.compile == "yes" and device == "cpu" and not any(map(which, ("c++", "g++", "clang++"))):
        raise BadPlan("Torch compiles for a CPU with a C++ compiler, and there is none.", "Choose not to compile.")
    return plan.compile == "yes"


def out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that the device, or this machine, has no memory left."""
    from accelerate.utils.memory import should_reduce_batch_size

    if isinstance(error, MemoryError) or any(words in str(error) for words in STARVED):
        return True
    return isinstance(error, Exception) and bool(should_reduce_batch_size(error))


def release() -> None:
    """Hand memory back that nobody uses."""
    from accelerate.utils.memory import clear_device_cache

    gc.collect()
    clear_device_cache()
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)


def keep_nothing() -> None:
    """Undo ``zoo.forward.keep_freed_memory``: what is kept in pieces of one size is missing for those of another."""
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        trim_threshold, mmap_threshold = -1, -3  # from <malloc.h>
        ctypes.CDLL(None).mallopt(mmap_threshold, 128 << 10)
        ctypes.CDLL(None).mallopt(trim_threshold, 128 << 10)


def pieces_of(folder: Path) -> int:
    """Into how many pieces an earlier attempt had to cut each batch."""
    noted: Any = read_json(folder / PIECES)
    return int(noted["pieces"]) if noted else 1


def note_pieces(folder: Path, pieces: int) -> None:
    write_json(folder / PIECES, {"pieces": pieces})
