"""A dataset: labelled pictures, frozen and known by their content, and the split that keeps it honest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from zoo.errors import BadUpload, NotFound
from zoo.items import Item as Item  # noqa: PLC0414 - a part of what this module is
from zoo.items import Items
from zoo.store import Store, checked_id, read_json, write_json, write_lines

Part = Literal["train", "select", "calibration", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
GIVEN = ("", "train", "val", "test")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was passed over, and why; ``corrupt`` if it should have been a picture."""

    path: str
    why: str
    corrupt: bool = False


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Pictures of two classes or more. ``id`` is the start of its fingerprint.

    ``parent`` is the id of the dataset this one was edited from, "" for one as it was given, and ``change`` says how.
    ``notes`` are sentences on how its source was read, such as which columns of a table were taken.
    ``items`` are given as any sequence and held as ``Items``.
    """

    root: Path
    title: str
    classes: tuple[str, ...]
    items: Sequence[Item]
    skipped: tuple[Skipped, ...] = ()
    parent: str = ""
    change: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", Items.of(self.items))
        if len(self.classes) < 2:
            have = f"one class, {self.classes[0]!r}" if self.classes else "no class"
            raise BadUpload(
                f"There is {have} in {self.title!r}.",
                "Put the pictures of each class into a folder of its own; a classifier needs two or more.",
            )

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, over every picture's content, class, given part and group, in order."""
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for block in self.held.blocks():
            rows = zip(*(block[name] for name in ("sha", "label", "given", "group")), strict=True)
            digest.update("".join(f"{sha} {label} {given} {group}\n" for sha, label, given, group in rows).encode())
        return digest.hexdigest()

    @property
    def id(self) -> str:
        return self.fingerprint[:16]

    @property
    def held(self) -> Items:
        """``items``, whose columns can be had whole."""
        return Items.of(self.items)

    @cached_property
    def y(self) -> NDArray[np.int64]:
        """(N,) labels."""
        return self.held.numbers("label").astype(np.int64)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """(N,) group numbers."""
        return self.held.numbers("group").astype(np.int64)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Pictures of each class, in class order."""
        return dict(zip(self.classes, np.bincount(self.y, minlength=len(self.classes)).tolist(), strict=True))

    def save(self, store: Store) -> None:
        """Write it into ``store``, where ``load`` finds it by its id.

        What is known already stays as it is where this one was edited into it, so that undo never goes in circles.
        """
        store.owners.claim("datasets", self.id)
        if self.parent and any(path.exists() for path in _paths(store, self.id)):
            return
        head = {
            "root": str(self.root),
            "title": self.title,
            "classes": self.classes,
            "skipped": [asdict(one) for one in self.skipped],
            "parent": self.parent,
            "change": self.change,
            "notes": self.notes,
        }
        lines = (json.dumps(value, ensure_ascii=False) for value in chain([head], self.held.blocks()))
        write_lines(_paths(store, self.id)[0], lines)

    @classmethod
    def load(cls, store: Store, dataset_id: str) -> Dataset:
        """The dataset saved as ``dataset_id``.

        Raises:
            NotFound: there is none.
        """
        new, old = _paths(store, checked_id(dataset_id, "dataset"))
        try:
            store.owners.check("datasets", dataset_id)
            with (new if new.exists() else old).open(encoding="utf-8") as lines:
                value = json.loads(next(lines, ""))
                alone = [Item(**item) for item in value.get("items", ())]  # as datasets were saved before columns
                items = Items.of(alone) if alone else Items(map(json.loads, lines))
        except (FileNotFoundError, ValueError, NotFound):
            raise NotFound(f"There is no dataset {dataset_id!r}.", "Give the pictures again.") from None
        return cls(
            root=Path(value["root"]),
            title=value["title"],
            classes=tuple(value["classes"]),
            items=items,
            skipped=tuple(Skipped(**one) for one in value["skipped"]),
            parent=value.get("parent", ""),
            change=value.get("change", ""),
            notes=tuple(value.get("notes", ())),
        )


def _paths(store: Store, dataset_id: str) -> tuple[Path, Path]:
    """Where a dataset is saved, a head and then columns block by block; and where it was before there were columns."""
    return store.datasets / f"{dataset_id}.jsonl", store.datasets / f"{dataset_id}.json"


@dataclass(frozen=True)
class Split:
    """Which pictures train, select (stop early, choose), calibrate, and test.

    ``parts`` holds (N,) indices into ``PARTS``. The test part is read once per finished run.
    """

    parts: NDArray[np.int8]
    seed: int = 0
    id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", hashlib.sha256(self.parts.tobytes()).hexdigest()[:16])

    def save(self, store: Store) -> None:
        """Write it into ``store``, where ``load`` finds it by its id."""
        value = {"seed": self.seed, "parts": "".join(map(str, self.parts.tolist()))}
        write_json(store.root / "splits" / f"{self.id}.json", value)

    @classmethod
    def load(cls, store: Store, split_id: str) -> Split:
        """The split saved as ``split_id``.

        Raises:
            NotFound: there is none.
        """
        value = read_json(store.root / "splits" / f"{checked_id(split_id, 'split')}.json")
        if value is None:
            raise NotFound(f"There is no split {split_id!r}.", "Split the dataset anew.")
        return cls(np.array([int(part) for part in value["parts"]], dtype=np.int8), int(value["seed"]))

    def of(self, *parts: Part) -> NDArray[np.int64]:
        """Indices of the pictures in ``parts``, ascending."""
        return np.flatnonzero(np.isin(self.parts, [PARTS.index(part) for part in parts]))


def split(dataset: Dataset, seed: int = 0) -> Split:
    """Part ``dataset`` 20 % test, 10 % calibration, 10 % select, the rest train.

    Groups stay whole and classes keep their shares as far as groups allow. Folders named train, val and test are
    honoured: a given test part is the test part, a given val part is shared between select and calibration.
    """
    codes, words = dataset.held.words("given")
    given = np.array([GIVEN.index(word) for word in words], dtype=np.int8)[codes]
    parts = np.zeros(len(dataset), dtype=np.int8)
    free = np.ones(len(dataset), dtype=bool)
    if (given == GIVEN.index("test")).any():
        parts[given == GIVEN.index("test")] = PARTS.index("test")
        free &= given != GIVEN.index("test")
    else:
        _carve(parts, free, dataset, {"test": 0.2}, seed)
    val = given == GIVEN.index("val")
    if val.any():
        held = val & free
        _carve(parts, held, dataset, {"calibration": 0.5}, seed + 1)
        parts[held] = PARTS.index("select")
    else:
        tenth = 0.1 * min(1 / free.mean() if free.any() else 1.0, 1.25)
        _carve(parts, free, dataset, {"calibration": tenth, "select": tenth}, seed + 1)
    return Split(parts, seed)


def _carve(
    parts: NDArray[np.int8], free: NDArray[np.bool_], dataset: Dataset, shares: dict[Part, float], seed: int
) -> None:
    """Move whole groups of the ``free`` pictures into the parts of ``shares``, the class furthest behind first.

    A class keeps at least one free picture. ``parts`` and ``free`` are changed in place.
    """
    shuffle = np.random.default_rng(seed).permutation
    where = np.flatnonzero(free)
    _, first, number, size = np.unique(
        dataset.groups[where], return_index=True, return_inverse=True, return_counts=True
    )
    members = where[np.argsort(number, kind="stable")]  # group by group, each ascending
    ends = np.cumsum(size)
    order = np.argsort(first)[shuffle(len(first))]  # as they first appear, then shuffled
    label = dataset.y
    left = np.bincount(label[where], minlength=len(dataset.classes))
    total = left.copy()
    for part, share in shares.items():
        wanted = np.round(total * share).astype(int)
        behind = np.zeros(len(order), dtype=bool)
        for place, group in enumerate(order.tolist()):
            own = members[ends[group] - size[group] : ends[group]]
            of, count = (label[own], 1) if size[group] == 1 else np.unique(label[own], return_counts=True)
            fits = ((wanted[of] >= count) & (left[of] > count)).all()
            if fits:
                wanted[of] -= count
                left[of] -= count
                parts[own] = PARTS.index(part)
                free[own] = False
            behind[place] = not fits
        order = order[behind]
