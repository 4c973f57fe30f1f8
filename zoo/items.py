"""The pictures of a dataset, held in columns: some two hundred bytes a picture instead of a thousand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from zoo.texts import Texts, TextsMaker

BLOCK = 1000  # pictures that stand as objects at one time

Block = Mapping[str, Sequence[Any]]


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


NAMES = tuple(field.name for field in fields(Item))
DEFAULTS = {field.name: field.default for field in fields(Item)}
TEXTS = ("file", "name", "sha")
WORDS = ("given", "mode", "repaired")  # few different ones
NUMBERS = {"label": "i4", "group": "i4", "width": "i4", "height": "i4", "length": "i8", "taken": "f8", "quality": "i2"}
ROW = np.dtype([*NUMBERS.items(), *((word, "i4") for word in WORDS)])


class Items(Sequence[Item]):
    """``Item``s by index, never changed once made; equal to any sequence of the same."""

    __slots__ = ("_rows", "_texts", "_words")

    def __init__(self, blocks: Iterable[Block]) -> None:
        """Of columns, block by block: lists of one length under the names of ``Item``'s fields."""
        texts = {name: TextsMaker() for name in TEXTS}
        words: dict[str, dict[str, int]] = {name: {} for name in WORDS}
        parts = [np.zeros(0, dtype=ROW)]
        for block in blocks:
            for name, maker in texts.items():
                maker.extend(block[name])
            part = np.zeros(len(block["file"]), dtype=ROW)
            for name in NUMBERS:
                part[name] = block.get(name, DEFAULTS[name])
            for name, known in words.items():
                part[name] = [known.setdefault(word, len(known)) for word in block.get(name, [""] * len(part))]
            parts.append(part)
        self._texts = {name: maker.made() for name, maker in texts.items()}
        self._words = {name: tuple(known) for name, known in words.items()}
        self._rows = np.concatenate(parts)

    @classmethod
    def of(cls, items: Iterable[Item]) -> Items:
        """``items`` themselves where they are held so already."""
        if isinstance(items, Items):
            return items
        each = iter(items)
        parts = iter(lambda: list(islice(each, BLOCK)), [])
        return cls({name: [getattr(item, name) for item in part] for name in NAMES} for part in parts)

    def blocks(self) -> Iterator[Block]:
        """What ``__init__`` takes."""
        for first in range(0, len(self), BLOCK):
            part = slice(first, first + BLOCK)
            columns: dict[str, Sequence[Any]] = {name: texts[part] for name, texts in self._texts.items()}
            columns |= {name: self._rows[name][part].tolist() for name in NUMBERS}
            columns |= {
                name: [known[code] for code in self._rows[name][part].tolist()] for name, known in self._words.items()
            }
            yield columns

    def numbers(self, name: str) -> NDArray[Any]:
        """(N,) of a field that is a number."""
        return np.asarray(self._rows[name])

    def texts(self, name: str) -> Texts:
        """(N,) of ``file``, ``name`` or ``sha``."""
        return self._texts[name]

    def words(self, name: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
        """(N,) indices into the words that ``given``, ``mode`` or ``repaired`` takes, and these."""
        return self._rows[name], self._words[name]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        place = range(len(self))[index]
        row = self._rows[place]
        values: dict[str, Any] = {name: texts[place] for name, texts in self._texts.items()}
        values |= {name: row[name].item() for name in NUMBERS}
        values |= {name: known[row[name]] for name, known in self._words.items()}
        return Item(**values)

    def __iter__(self) -> Iterator[Item]:
        for block in self.blocks():
            for values in zip(*block.values(), strict=True):
                yield Item(**dict(zip(block, values, strict=True)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Items | list | tuple):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(self._texts["sha"])
