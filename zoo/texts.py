"""Many short texts in two arrays, because a hundred thousand strings of Python's own take ten times the memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload


class Texts(Sequence[str]):
    """Texts by index, never changed once made; equal to any sequence of the same."""

    __slots__ = ("_ends", "_joined")

    def __init__(self, joined: bytes, ends: array[int]) -> None:
        """Of their UTF-8 one after the other, and where each begins and the last ends."""
        self._joined, self._ends = joined, ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        maker = TextsMaker()
        maker.extend(texts)
        return maker.made()

    @property
    def joined(self) -> bytes:
        """All of them one after the other, in UTF-8."""
        return self._joined

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            joined, ends = self._joined, self._ends
            places = range(*index.indices(len(self)))
            return [joined[ends[place] : ends[place + 1]].decode("utf-8", "surrogatepass") for place in places]
        place = range(len(self))[index]
        return self._joined[self._ends[place] : self._ends[place + 1]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), 1000):
            yield from self[first : first + 1000]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return self._ends == other._ends and self._joined == other._joined
        if not isinstance(other, list | tuple):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))


class TextsMaker:
    """Makes ``Texts`` bit by bit."""

    def __init__(self) -> None:
        self._joined, self._ends = bytearray(), array("q", [0])

    def extend(self, texts: Iterable[str]) -> None:
        end = len(self._joined)
        for text in texts:
            part = text.encode("utf-8", "surrogatepass")
            end += len(part)
            self._joined += part
            self._ends.append(end)

    def made(self) -> Texts:
        return Texts(bytes(self._joined), self._ends)
