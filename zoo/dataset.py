"""A dataset: labelled pictures, frozen and known by their content, and the split that keeps it honest."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from zoo.errors import BadUpload, NotFound
from zoo.store import Store, checked_id, read_json, write_bytes, write_json

Part = Literal["train", "select", "calibration", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
GIVEN = ("", "train", "val", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One picture and its label.

    Attributes:
        file: where its bytes are, relative to the dataset's root; absolute where they belong to another dataset.
        name: the path the person gave it, for showing only.
        label: index into the dataset's classes.
        sha: SHA-256 of its bytes, in hex.
        given: the split folder it came in, "" for none.
        group: pictures of one group (the same picture twice, a burst) are never parted by a split.
        width, height: of the upright picture, in pixels, before any shrinking.
        length: of its file, in bytes; 0 where it is not known.
        taken: when, in seconds since 1970 as its EXIF block has it; 0 where it has none.
        quality: of a JPEG, 1 to 100, estimated from its tables; 0 for other formats.
        mode: colour mode of the file as Pillow names it, such as "RGB", "CMYK" or "I;16"; "" where it is not known.
        repaired: what was made right in reading it, in words with commas between; "" for nothing.
    """

    file: str
    name: str
    label: int
    sha: str
    given: str = ""
    group: int = 0
    width: int = 0
    height: int = 0
    length: int = 0
    taken: float = 0.0
    quality: int = 0
    mode: str = ""
    repaired: str = ""


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
    """

    root: Path
    title: str
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...] = ()
    parent: str = ""
    change: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
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
        for item in self.items:
            digest.update(f"{item.sha} {item.label} {item.given} {item.group}\n".encode())
        return digest.hexdigest()

    @property
    def id(self) -> str:
        return self.fingerprint[:16]

    @cached_property
    def y(self) -> NDArray[np.int64]:
        """(N,) labels."""
        return np.array([item.label for item in self.items], dtype=np.int64)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """(N,) group numbers."""
        return np.array([item.group for item in self.items], dtype=np.int64)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Pictures of each class, in class order."""
        return dict(zip(self.classes, np.bincount(self.y, minlength=len(self.classes)).tolist(), strict=True))

    def save(self, store: Store) -> None:
        """Write it into ``store``, where ``load`` finds it by its id.

        What is known already stays as it is where this one was edited into it, so that undo never goes in circles.
        """
        path = store.datasets / f"{self.id}.json"
        if self.parent and path.exists():
            return
        value = {
            "root": str(self.root),
            "title": self.title,
            "classes": self.classes,
            "items": [asdict(item) for item in self.items],
            "skipped": [asdict(one) for one in self.skipped],
            "parent": self.parent,
            "change": self.change,
            "notes": self.notes,
        }
        write_bytes(path, json.dumps(value, ensure_ascii=False).encode())

    @classmethod
    def load(cls, store: Store, dataset_id: str) -> Dataset:
        """The dataset saved as ``dataset_id``.

        Raises:
            NotFound: there is none.
        """
        value = read_json(store.datasets / f"{checked_id(dataset_id, 'dataset')}.json")
        if value is None:
            raise NotFound(f"There is no dataset {dataset_id!r}.", "Give the pictures again.")
        return cls(
            root=Path(value["root"]),
            title=value["title"],
            classes=tuple(value["classes"]),
            items=tuple(Item(**item) for item in value["items"]),
            skipped=tuple(Skipped(**one) for one in value["skipped"]),
            parent=value.get("parent", ""),
            change=value.get("change", ""),
            notes=tuple(value.get("notes", ())),
        )


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
    given = np.array([GIVEN.index(item.given) for item in dataset.items], dtype=np.int8)
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
    members: dict[int, list[int]] = {}
    for index in np.flatnonzero(free).tolist():
        members.setdefault(int(dataset.groups[index]), []).append(index)
    groups = list(members.values())
    order = [groups[place] for place in shuffle(len(groups)).tolist()]
    label = dataset.y.tolist()
    total = np.bincount(dataset.y[free], minlength=len(dataset.classes))
    left = total.tolist()
    for part, share in shares.items():
        wanted, number = np.round(total * share).astype(int).tolist(), PARTS.index(part)
        rest = []
        for group in order:
            counts = Counter(label[index] for index in group)
            if all(wanted[of] >= count and left[of] > count for of, count in counts.items()):
                for of, count in counts.items():
                    wanted[of] -= count
                    left[of] -= count
                parts[group] = number
                free[group] = False
            else:
                rest.append(group)
        order = rest
