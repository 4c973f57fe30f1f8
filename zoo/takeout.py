"""A dataset back out with its split: class folders below train, val, test, or Parquet as Hugging Face lays it out."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Literal

from zoo.dataset import PARTS, Dataset, Item, Split
from zoo.errors import BadExport
from zoo.names import clean
from zoo.sandbox import Progress
from zoo.store import new_id

Format = Literal["folder", "parquet"]

GIVEN_AS = {"train": "train", "select": "val", "calibration": "val", "test": "test"}
NAMED_BY_THE_HUB = {"train": "train", "val": "validation", "test": "test"}
SHARD = 400 << 20  # bytes of pictures in one Parquet file
ROWS = 64  # pictures in one group of rows
SUFFIXES = {"\xff\xd8": ".jpg", "\x89P": ".png", "GI": ".gif", "BM": ".bmp", "RI": ".webp", "II": ".tif", "MM": ".tif"}
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def take_out(
    dataset: Dataset,
    split: Split,
    to: Path,
    kind: Format,
    told: Progress = lambda _stage, _done, _total: None,
) -> list[Path]:
    """Write ``dataset`` into the folder ``to``, which must be new or empty; the files, relative to it.

    The select and calibration parts are written as val. The split itself goes beside them as ``split.json``. It is all
    there at the end, or nothing.

    Raises:
        BadExport: ``to`` has something in it or cannot be made, or a picture is not what it was.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise BadExport(f"{clean(str(to), 200)!r} is there already.", "Choose a folder that is new or empty.")
    draft = to.parent / f".{to.name}.{new_id()}"
    try:
        draft.mkdir(parents=True)
    except OSError as error:
        raise BadExport(f"{clean(str(to), 200)!r} cannot be made: {error.strerror}.", "Name another folder.") from error
    try:
        for done, _ in enumerate((_folders if kind == "folder" else _parquet)(dataset, split, draft), 1):
            told("write", done, len(dataset))
        _write_split(dataset, split, draft)
        if to.exists():
            to.rmdir()
        os.replace(draft, to)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return sorted(path.relative_to(to) for path in to.rglob("*") if path.is_file())


def safe(name: str, taken: set[str]) -> str:
    """``name`` as a file may be called on every system, different from all in ``taken``, to which it is added."""
    plain = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", clean(name)).strip(" .") or "_"
    stem, dot, suffix = plain.rpartition(".") if "." in plain else (plain, "", "")
    if RESERVED.fullmatch(plain):
        stem = f"_{stem}"
    while len((stem + dot + suffix).encode()) > 200:
        stem = stem[:-1]
    number, free = 1, stem + dot + suffix
    while free.casefold() in taken:
        number += 1
        free = f"{stem} {number}{dot}{suffix}"
    taken.add(free.casefold())
    return free


def _folders(dataset: Dataset, split: Split, draft: Path) -> Iterator[None]:
    names: set[str] = set()
    classes = [safe(name, names) for name in dataset.classes]
    taken: dict[Path, set[str]] = {}
    for item, part in zip(dataset.items, _parts(split), strict=True):
        folder = draft / part / classes[item.label]
        folder.mkdir(parents=True, exist_ok=True)
        content = _bytes_of(dataset, item)
        name = PurePosixPath(item.name).name
        if not PurePosixPath(name).suffix:
            name += SUFFIXES.get(content[:2].decode("latin-1"), "")
        (folder / safe(name, taken.setdefault(folder, set()))).write_bytes(content)
        yield


def _parquet(dataset: Dataset, split: Split, draft: Path) -> Iterator[None]:
    import pyarrow as pa
    from pyarrow import parquet

    (draft / "data").mkdir()
    parts = _parts(split)
    schema = _schema(dataset.classes)
    for part, name in NAMED_BY_THE_HUB.items():
        items = [item for item, own in zip(dataset.items, parts, strict=True) if own == part]
        shards = _shards(items)
        for number, shard in enumerate(shards):
            path = draft / "data" / f"{name}-{number:05}-of-{len(shards):05}.parquet"
            with parquet.ParquetWriter(path, schema) as writer:
                for start in range(0, len(shard), ROWS):
                    some = shard[start : start + ROWS]
                    rows = [
                        {
                            "image": {"bytes": _bytes_of(dataset, item), "path": PurePosixPath(item.name).name},
                            "label": item.label,
                            "group": str(item.group),
                        }
                        for item in some
                    ]
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                    yield from [None] * len(some)


def _schema(classes: Sequence[str]):  # type: ignore[no-untyped-def]
    import pyarrow as pa

    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(classes), "_type": "ClassLabel"},
        "group": {"dtype": "string", "_type": "Value"},
    }
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [("image", image), ("label", pa.int64()), ("group", pa.string())]
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _shards(items: Sequence[Item]) -> list[list[Item]]:
    """``items`` in lists of about ``SHARD`` bytes."""
    shards: list[list[Item]] = []
    room = 0
    for item in items:
        if room <= 0:
            shards.append([])
            room = SHARD
        shards[-1].append(item)
        room -= item.length or 1 << 20
    return shards


def _parts(split: Split) -> list[str]:
    return [GIVEN_AS[PARTS[part]] for part in split.parts.tolist()]


def _bytes_of(dataset: Dataset, item: Item) -> bytes:
    try:
        content = (dataset.root / item.file).read_bytes()
    except OSError:
        content = b""
    if sha256(content).hexdigest() != item.sha:
        raise BadExport(f"{item.name!r} is no longer the picture that was read.", "Give the pictures again.")
    return content


def _write_split(dataset: Dataset, split: Split, draft: Path) -> None:
    pictures = [
        {"name": item.name, "sha256": item.sha, "part": PARTS[part]}
        for item, part in zip(dataset.items, split.parts.tolist(), strict=True)
    ]
    value = {"dataset": dataset.id, "split": split.id, "seed": split.seed, "pictures": pictures}
    (draft / "split.json").write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
