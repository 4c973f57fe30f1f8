"""What the child says, believed only where it fits: a reading for each picture, a file for each member."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import BadPicture
from zoo.facts import WORDS, Facts

_MODE = re.compile(r"[A-Za-z0-9;]{0,12}")
_HEX = re.compile(r"[0-9a-f]{64}")
_THUMBNAIL = 256  # bytes that follow the pixels of each picture: 16 × 16 grays


class Died(Exception):
    """The child is gone, or said nothing sensible for too long."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What decoding one file gave.

    Attributes:
        sha: SHA-256 of the file, in hex.
        size: (width, height) of the upright original.
        span: where its pixels lie: byte offset, height, width.
        hash: difference hash, in hex.
        bytes: length of the file.
        facts: what it tells besides its pixels.
    """

    sha: str
    size: tuple[int, int]
    span: tuple[int, int, int]
    hash: str
    bytes: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class Unpacked:
    """One member of an archive: the name it had, the file it became, or why it became none."""

    name: str
    file: str
    why: str


def heard(
    answer: dict[str, Any], count: int, into: Path, unopened: Mapping[int, BadPicture]
) -> tuple[int, Reading | BadPicture | None]:
    """Which of ``count`` pictures the child speaks of, and what it gave; None for one that it begins.

    Raises:
        Died: it says nonsense.
    """
    try:
        place = int(answer["begun"] if "begun" in answer else answer["index"])
        if not 0 <= place < count:
            raise Died
        if "begun" in answer:
            return place, None
        return place, unopened[place] if "unopened" in answer else _reading(answer, into)
    except (KeyError, IndexError, TypeError, ValueError):
        raise Died from None


def _reading(answer: dict[str, Any], into: Path) -> Reading | BadPicture:
    """What the child says of a picture.

    Raises:
        ValueError, TypeError, KeyError: it says nonsense.
    """
    if "problem" in answer:
        return BadPicture(str(answer["problem"]), str(answer["remedy"]))
    width, height = map(int, answer["size"])
    span = offset, rows, columns = (int(answer["span"][0]), int(answer["span"][1]), int(answer["span"][2]))
    inside = offset >= 0 and rows > 0 and columns > 0 and offset + stored(rows, columns) <= into.stat().st_size
    if not (inside and width > 0 and height > 0 and _HEX.fullmatch(answer["sha"]) and _HEX.fullmatch(answer["hash"])):
        raise ValueError("the child's answer does not fit its file")
    return Reading(
        answer["sha"], (width, height), span, answer["hash"], int(answer["bytes"]), _facts(**answer["facts"])
    )


def _facts(taken: float, quality: int, mode: str, repaired: str) -> Facts:
    """What the child says, as what it must be: words of ours, numbers in their range."""
    if not (0 <= taken < 1e11 and 0 <= quality <= 100 and _MODE.fullmatch(mode) and _known(repaired)):
        raise ValueError("the child's answer does not fit")
    return Facts(float(taken), int(quality), mode, repaired)


def _known(repaired: str) -> bool:
    return not repaired or set(repaired.split(", ")) <= WORDS


def stored(height: int, width: int) -> int:
    """Bytes that a picture takes in a file of pixels."""
    return height * width * 3 + _THUMBNAIL


def own_name(file: object) -> str:
    """A file name of ours, digits only, or none."""
    text = str(file)
    if text and not (text.isascii() and text.isdigit()):
        raise Died
    return text
