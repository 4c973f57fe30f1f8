"""Files of weights: found on this disk, proven, and read without pickle; ``zoo.fetching`` gets them from a hub.

A ``.safetensors`` file is a header of names, types and shapes, then plain numbers. A stranger may have written either,
so both are checked before a network is built for them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import BackboneUnavailable

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth", "tf_model.h5")
HEADER = 16 << 20  # bytes; a header of a thousand layers is below one MiB
WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in a ``.safetensors`` file, from a header that was checked to the byte.

    Raises:
        BackboneUnavailable: the header is oversized, is none, or does not describe what follows it.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(HEADER, size - 8):
            raise _unreadable(path, "its header is longer than a header can be")
        text = file.read(length)
    try:
        rows: dict[str, Any] = json.loads(text)
        found = {name: _shape(row, size - 8 - length) for name, row in rows.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(path, "its header does not describe its content") from error
    return found


def read(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a ``.safetensors`` file.

    Raises:
        BackboneUnavailable: it is damaged, or holds values that are no numbers.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    shapes(path)
    try:
        state: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise _unreadable(path, "they are damaged") from error
    if not all(bool(value.isfinite().all()) for value in state.values() if value.is_floating_point()):
        raise _unreadable(path, "they hold values that are no numbers")
    return state


def revision(path: Path) -> str:
    """SHA-256 of a file: the name of the hub cache's blob, which is that hash, or computed once."""
    blob = path.resolve().name
    return blob if re.fullmatch(r"[0-9a-f]{64}", blob) else _digest(path, path.stat().st_mtime_ns)


def cached(repository: str, file: str) -> Path | None:
    """``file`` of a hub's repository on this disk."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file)
    return Path(found) if isinstance(found, str) else None


def weights_in(folder: Path) -> Path:
    """The safetensors file of a folder.

    Raises:
        BackboneUnavailable: there is none; the message says whether there are pickled ones, which are never read.
    """
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    if (folder / f"{WEIGHTS}.index.json").is_file():
        why = "spreads its weights over several files, which no image network here needs"
    elif any((folder / name).exists() for name in PICKLES):
        why = "holds pickled weights only, and a pickle can run code"
    else:
        why = f"holds no {WEIGHTS}"
    raise BackboneUnavailable(f"{folder.name[:80]!r} {why}.", f"Save the network again, as one {WEIGHTS}.")


def document(path: Path) -> dict[str, Any]:
    """A JSON object out of a small file; empty where there is no such file.

    Raises:
        BackboneUnavailable: it is not an object.
    """
    if not path.is_file():
        return {}
    try:
        text = path.read_bytes() if path.stat().st_size < HEADER else b""
        found = json.loads(text)
    except (ValueError, RecursionError, OSError):
        found = None
    if not isinstance(found, dict):
        raise BackboneUnavailable(f"{path.name} in {path.parent.name[:80]!r} is damaged.", "Fetch the folder again.")
    return found


def stated_licence(readme: Path | None) -> str:
    """The licence in the front matter of a model card, "unknown" where it states none."""
    if readme is None or not readme.is_file():
        return "unknown"
    front = re.match(r"\s*---\s*\n(.*?)\n---", readme.read_text(encoding="utf-8", errors="replace")[:20_000], re.DOTALL)
    stated = re.search(r"^license:\s*[\"']?([\w.+-]+)", front[1], re.MULTILINE) if front else None
    return stated[1].lower() if stated else "unknown"


def _shape(row: dict[str, Any], room: int) -> tuple[int, ...]:
    shape, (first, last) = tuple(row["shape"]), row["data_offsets"]
    if not all(isinstance(side, int) and side >= 0 for side in (*shape, first, last)):
        raise ValueError
    if not first <= last <= room or math.prod(shape) * WIDTHS[row["dtype"]] != last - first:
        raise ValueError
    return shape


def _unreadable(path: Path, why: str) -> BackboneUnavailable:
    return BackboneUnavailable(
        f"The weights of {path.parent.name[:80]!r} cannot be read: {why}.", "Delete them and fetch them again."
    )


@cache
def _digest(path: Path, mtime_ns: int) -> str:  # noqa: ARG001 - part of the cache's key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
