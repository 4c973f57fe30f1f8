"""What belongs together though no two pictures are the same: bursts, frames, variants of one shot. No split parts it.

Names are weak witnesses: whole classes are numbered through. So a name joins pictures by itself only where it says that
one picture was made from another, or where many stems have a few pictures each; else the pictures must look alike too.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from zoo.pictures import Pictures

Pair = tuple[int, int]

BURST = 3.0  # seconds between two pictures of one burst
CROWD = 30  # pictures of one second, from which on the time is that of a conversion and says nothing
MOST = 60  # pictures of one stem, above which it is the name of a class or a camera
STEMS = 3  # as many stems of two pictures or more in one class are a habit of naming
ALIKE = 0.8  # least correlation of gray thumbnails that look alike
MOST_AT_ONCE = 1000  # pairs of pictures looked at
MOVED = 0.5  # the same, of two pictures taken within seconds: something in them may have moved

_ROBOFLOW = re.compile(r"(?P<stem>.+?)(_(jpe?g|png|bmp|webp))?\.rf\.[0-9a-zA-Z]{16,}")
_CHANGED = re.compile(
    r"(?P<stem>.*\w.*?)[ _\-.](h?v?flip(ped)?|mirror(ed)?|rot(ated?|ation)?|crop(ped)?|aug(mented)?|blur(red)?|noisy?|"
    r"orig(inal)?|bright(er)?|dark(er)?)[ _\-]?\d{0,4}",
    re.IGNORECASE,
)
_COPY = re.compile(r"(?P<stem>.+?)( ?\(\d{1,3}\)| - copy( \(\d+\))?| copy( \d+)?)", re.IGNORECASE)
_FRAME = re.compile(r"(?P<stem>.*?)[ _\-.]?(frame|frm)[ _\-]?(?P<number>\d{1,9})", re.IGNORECASE)
_VARIANT = re.compile(r"(?P<stem>.*\d.*?)[ _\-.]([a-z]|\d{1,2}|left|right|front|back|top|side)", re.IGNORECASE)


def same_key(keys: Sequence[str]) -> list[Pair]:
    """Pairs that chain the things of each key; a key that is empty joins nothing."""
    return [pair for crowd in _each(keys) for pair in pairwise(crowd)]


def by_name(names: Sequence[str], labels: Sequence[str]) -> tuple[list[Pair], list[Pair]]:
    """Pairs that their names join: those that are sure, and those that must look alike too."""
    sure: list[Pair] = []
    unsure: list[Pair] = []
    for crowd in _each([(label,) for label in labels]):
        folders, bases = zip(*(names[index].rpartition("/")[::2] for index in crowd), strict=True)
        stems = [base.rpartition(".")[0] or base for base in bases]
        for joined, certain in (
            (_keys(_ROBOFLOW, stems), True),
            (_with_original(_keys(_CHANGED, stems), stems), None),
            (_together(_with_original(_keys(_COPY, stems), stems), folders), False),
            (_together(_keys(_FRAME, stems), folders), None),
            (_together(_keys(_VARIANT, stems), folders), None),
        ):
            crowds = [[crowd[place] for place in places] for places in _each(joined) if len(places) > 1]
            small = [one for one in crowds if len(one) <= MOST]
            habit = _is_habit(crowds, len(crowd)) if certain is None else certain
            pairs = [pair for one in (small if habit else crowds) for pair in pairwise(one)]
            (sure if habit else unsure).extend(pairs)
    return sure, unsure


def by_time(taken: Sequence[float], labels: Sequence[str]) -> list[Pair]:
    """Pairs of one class taken within ``BURST`` seconds, which must look alike too. 0 is a time that is not known."""
    pairs = []
    for crowd in _each([(label,) if when else () for when, label in zip(taken, labels, strict=True)]):
        crowd.sort(key=lambda index: taken[index])
        seconds = [int(taken[index]) for index in crowd]
        crowded = {second for second, count in Counter(seconds).items() if count > CROWD}
        pairs += [
            (min(one, other), max(one, other))
            for one, other in pairwise(crowd)
            if taken[other] - taken[one] <= BURST and int(taken[one]) not in crowded
        ]
    return pairs


def alike(pictures: Pictures, pairs: Sequence[Pair], least: float = ALIKE) -> list[Pair]:
    """Those of ``pairs`` that show about the same scene: gray thumbnails of 16 × 16 that correlate."""
    found: list[Pair] = []
    for first in range(0, len(pairs), MOST_AT_ONCE):
        some = np.array(pairs[first : first + MOST_AT_ONCE], dtype=np.int64)
        small = [_evened(pictures.thumbnails(side)) for side in some.T]
        found += map(tuple, some[(small[0] * small[1]).sum(axis=1) >= least].tolist())
    return found


def _each(keys: Sequence[str | tuple[str, ...]]) -> list[list[int]]:
    """Indices of each key, in order; of none for an empty key."""
    members: dict[str | tuple[str, ...], list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        if key:
            members[key].append(index)
    return list(members.values())


def _keys(form: re.Pattern[str], stems: Sequence[str]) -> list[str]:
    found = [form.fullmatch(stem) for stem in stems]
    return [one["stem"].strip(" _-.").lower() or "(frames)" if one else "" for one in found]


def _with_original(keys: Sequence[str], stems: Sequence[str]) -> list[str]:
    """``keys``, and for a name without one its own, so that it joins what was made from it."""
    return [key or stem.lower() for key, stem in zip(keys, stems, strict=True)]


def _together(keys: Sequence[str], folders: Sequence[str]) -> list[tuple[str, ...]]:
    return [(key, folder) if key else () for key, folder in zip(keys, folders, strict=True)]


def _is_habit(crowds: Sequence[Sequence[int]], total: int) -> bool:
    """Whether many stems with a few pictures each make up most of a class of ``total``."""
    sizes = [len(crowd) for crowd in crowds]
    return len(sizes) >= STEMS and 2 * sum(sizes) >= total and 3 * max(sizes) <= total and max(sizes) <= MOST


def _evened(small: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(P, 256) of mean 0 and length 1; zeros for a flat picture, which is like nothing."""
    values = small.reshape(len(small), -1).astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 32, length, np.inf)
