"""What decoding each file of a long list gave, held in columns: a hundred and fifty bytes a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from zoo.answers import Reading
from zoo.errors import BadPicture
from zoo.facts import Facts

Outcome = Reading | BadPicture

UNKNOWN, GOOD, BAD = 0, 1, 2
ROW = np.dtype(
    [
        *(("state", "i1"), ("sha", "u1", 32), ("hash", "u1", 32), ("size", "i4", 2), ("span", "i8", 3)),
        *(("bytes", "i8"), ("taken", "f8"), ("quality", "i2"), ("mode", "i2"), ("repaired", "i4")),
    ]
)


class Outcomes(Sequence[Outcome]):
    """By index, of ``count`` files; what is not known yet cannot be had."""

    def __init__(self, count: int) -> None:
        self._rows = np.zeros(count, dtype=ROW)
        self._bad: dict[int, BadPicture] = {}
        self._words: dict[str, int] = {}
        self._said: list[str] = []
        self.known = 0  # of the files

    def __setitem__(self, index: int, outcome: Outcome) -> None:
        row = self._rows[index]
        self.known += int(row["state"] == UNKNOWN)
        if isinstance(outcome, BadPicture):
            row["state"], self._bad[index] = BAD, outcome
            return
        facts = outcome.facts
        numbers = np.frombuffer(bytes.fromhex(outcome.sha + outcome.hash), dtype=np.uint8)
        words = self._code(facts.mode), self._code(facts.repaired)
        self._rows[index] = (
            *(GOOD, numbers[:32], numbers[32:], outcome.size, outcome.span),
            *(outcome.bytes, facts.taken, facts.quality, *words),
        )

    def _code(self, word: str) -> int:
        if word not in self._words:
            self._words[word] = len(self._said)
            self._said.append(word)
        return self._words[word]

    def __len__(self) -> int:
        return len(self._rows)

    def has(self, index: int) -> bool:
        return bool(self._rows["state"][index] != UNKNOWN)

    @overload
    def __getitem__(self, index: int) -> Outcome: ...
    @overload
    def __getitem__(self, index: slice) -> list[Outcome]: ...
    def __getitem__(self, index: int | slice) -> Outcome | list[Outcome]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        row = self._rows[place]
        if row["state"] == UNKNOWN:
            raise KeyError(index)
        if row["state"] == BAD:
            return self._bad[place]
        offset, height, width = row["span"].tolist()
        return Reading(
            sha=row["sha"].tobytes().hex(),
            size=tuple(row["size"].tolist()),
            span=(offset, height, width),
            hash=row["hash"].tobytes().hex(),
            bytes=int(row["bytes"]),
            facts=Facts(float(row["taken"]), int(row["quality"]), self._said[row["mode"]], self._said[row["repaired"]]),
        )

    def __iter__(self) -> Iterator[Outcome]:
        return (self[place] for place in range(len(self)))

    def missing(self) -> NDArray[np.int64]:
        """Indices of the files of which nothing is known yet."""
        return np.flatnonzero(self._rows["state"] == UNKNOWN)

    def good(self) -> NDArray[np.int64]:
        """Indices of the files that could be read."""
        return np.flatnonzero(self._rows["state"] == GOOD)

    def bad(self) -> list[tuple[int, BadPicture]]:
        """The files that could not be read, in order, and why."""
        return sorted(self._bad.items(), key=lambda one: one[0])

    def column(self, name: str) -> NDArray[Any]:
        """(N, …) of one of ``ROW``'s names; ``mode`` and ``repaired`` are indices for ``word``."""
        return np.asarray(self._rows[name])

    def word(self, code: int) -> str:
        return self._said[code]

    def moved(self, index: int, offset: int) -> None:
        """The pixels of the picture at ``index`` lie at ``offset`` now."""
        self._rows["span"][index, 0] = offset
