"""How a tree of files is read as classes: wrappers taken off, split folders honoured, junk passed over."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoo.dataset import Skipped
from zoo.decode import SUFFIXES
from zoo.errors import BadUpload
from zoo.names import clean

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val"}
SPLITS |= {"test": "test", "testing": "test"}

JUNK = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"})
TABLES = frozenset({".csv", ".tsv", ".parquet"})  # may hold the labels
MOST_FILES = 1_000_000
ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".rar", ".7z"})
EXPLAINED = frozenset({".heic", ".heif", ".svg", ".eps"})  # handed to the decoder, which says what to do with them
WANTED = "Give one folder a class, with the pictures inside: cats/1.jpg, cats/2.jpg, dogs/1.jpg."


@dataclass(frozen=True, slots=True, init=False)
class Found:
    """A file below a root, as ``file`` on disk and as ``name``, a path, to the person."""

    file: str
    name: str

    def __init__(self, file: str, name: PurePosixPath | str) -> None:
        object.__setattr__(self, "file", file)
        object.__setattr__(self, "name", file if str(name) == file else str(name))  # mostly one text, kept once

    @property
    def path(self) -> PurePosixPath:
        return PurePosixPath(self.name)


@dataclass(frozen=True, slots=True)
class Placed:
    """A file that may be a picture: its index among the files found, its class and its given part.

    ``group`` is the person's own name for what belongs together, "" for none.
    """

    index: int
    label: str
    given: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a source holds, known by names alone: nothing is decoded yet.

    Attributes:
        root: the folder that the files of ``found`` are relative to.
        found: files that may be pictures.
        placed: those of them that have a class.
        skipped: what was passed over, with its reason.
        notes: sentences on how the source was read.
    """

    root: Path
    title: str
    found: tuple[Found, ...]
    placed: tuple[Placed, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def junk(path: PurePosixPath) -> tuple[str, str] | None:
    """What of ``path`` is passed over unread (itself, or a folder above it, ending in "/") and why, if any."""
    for depth, part in enumerate(path.parts, 1):
        if part.lower() in JUNK or part.startswith("."):
            above = "/".join(path.parts[:depth])
            return (f"{above}/", "A hidden or system folder.") if depth < len(path.parts) else (above, "A system file.")
    suffix = path.suffix.lower()
    if suffix in ARCHIVES:
        return str(path), "An archive inside the data: unpack it first."
    if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) and suffix not in SUFFIXES | EXPLAINED | TABLES:
        return str(path), f"Not a picture ({suffix})."
    return None


class Plain:
    """Tells names of pictures that are surely no junk quickly, since most are that; of others it says nothing."""

    def __init__(self) -> None:
        self._folders: dict[str, bool] = {}

    def __call__(self, name: str) -> bool:
        folder, _, base = name.rpartition("/")
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = not folder or junk(PurePosixPath(folder, "x")) is None
        return known and not base.startswith(".") and f".{base.rpartition('.')[2].lower()}" in SUFFIXES


def arrange(names: Sequence[str]) -> tuple[list[Placed], list[Skipped]]:
    """Each picture's class: the first folder below wrappers and split folders. Deeper folders belong to their class.

    Args:
        names: paths with "/" between their parts.

    Raises:
        BadUpload: two folders would show as the same class.
    """
    folders = list({name.rpartition("/")[0] for name in names})
    parts = {folder: tuple(folder.split("/")) if folder else () for folder in folders}
    depth = _wrappers(list(parts.values()))
    given = _given(list(parts.values()), depth)
    at = depth + bool(given)
    shown = shown_labels(sorted({folder[at] for folder in parts.values() if len(folder) > at}))
    placed, skipped = [], []
    for index, name in enumerate(names):
        folder = parts[name.rpartition("/")[0]]
        if len(folder) > at:
            placed.append(Placed(index, shown[folder[at]], given.get(folder[depth], "")))
        else:
            where = "directly in a split folder" if given and len(folder) > depth else "outside every class folder"
            skipped.append(Skipped(clean(name, 300), f"It lies {where}."))
    return placed, skipped


def _wrappers(folders: Sequence[tuple[str, ...]]) -> int:
    """How many outer folders hold everything and so say nothing."""
    depth = 0
    while folders and all(len(folder) > depth + 1 for folder in folders) and len({f[depth] for f in folders}) == 1:
        depth += 1
    return depth


def _given(folders: Sequence[tuple[str, ...]], depth: int) -> dict[str, str]:
    """Top folders that are split folders, and their part; none unless all are, and one has class folders inside."""
    tops = {folder[depth] for folder in folders if len(folder) > depth}
    classed = {folder[depth] for folder in folders if len(folder) > depth + 1}
    if not classed or not all(top.lower() in SPLITS for top in tops):
        return {}
    parts = {top: SPLITS[top.lower()] for top in tops}
    if not any(parts[top] == "train" for top in classed):  # a split without a training part cannot be honoured
        return dict.fromkeys(tops, "")
    return parts


def shown_labels(labels: Sequence[str]) -> dict[str, str]:
    """Names of classes as they are shown.

    Raises:
        BadUpload: two would show as the same.
    """
    shown = {label: clean(label) or "(no name)" for label in labels}
    twice = [name for name, count in Counter(shown.values()).items() if count > 1]
    if twice:
        raise BadUpload(
            f"{sum(name == twice[0] for name in shown.values())} classes would both show as {twice[0]!r}: "
            "their names differ only in characters that cannot be told apart.",
            "Rename one of them, or put their pictures together.",
        )
    return shown


def walk(root: Path) -> tuple[list[Found], list[Skipped]]:
    """Ordinary files below ``root`` in the order of their names, and what is passed over. No link leads out of it."""
    found: list[Found] = []
    skipped: list[Skipped] = []
    for folder, below, names in os.walk(root):
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        for name in list(below):
            why = _no_folder(Path(folder, name))
            if why:
                below.remove(name)
                skipped.append(Skipped(clean(str(here / name), 300) + "/", why))
        below.sort()
        prefix = "" if here == PurePosixPath() else f"{here}/"
        for name in sorted(names):
            why = _no_file(Path(folder, name), root)
            if why:
                skipped.append(Skipped(clean(str(here / name), 300), why))
            else:
                found.append(Found(prefix + name, prefix + name))
        if len(found) > MOST_FILES:
            raise BadUpload(f"There are more than {MOST_FILES} files.", "Choose a smaller folder.")
    return found, skipped


def _no_folder(path: Path) -> str:
    """Why a folder is not entered; "" where it is."""
    if path.is_symlink():
        return "A link to a folder; links are not followed."
    if not os.access(path, os.R_OK | os.X_OK):
        return "It may not be read."
    if junk(PurePosixPath(path.name, "x")):
        return "A hidden or system folder."
    if not any(path.iterdir()):
        return "An empty folder."
    return ""


def _no_file(path: Path, root: Path) -> str:
    """Why a file is not taken; "" where it is."""
    try:
        path.name.encode()
        kind = path.stat().st_mode
        inside = not path.is_symlink() or path.resolve().is_relative_to(root)
    except UnicodeEncodeError:
        return "Its name is not UTF-8: rename it."
    except (OSError, RuntimeError):
        return "It cannot be reached."
    if not inside:
        return "A link that leads out of the folder."
    return "" if stat.S_ISREG(kind) else "Not an ordinary file."


def explain(title: str, placed: Sequence[Placed], pictures: int, skipped: Sequence[Skipped]) -> BadUpload:
    """Why ``title`` has no two classes, in one sentence, and the layout that is wanted.

    ``placed`` are the pictures that have a class, ``pictures`` counts the files that looked like pictures.
    """
    name = repr(clean(title))
    damaged = [one for one in skipped if one.corrupt]
    archives = [one for one in skipped if one.why.startswith("An archive")]
    if placed:
        left_out = f" {len(damaged)} more could not be read, the first because: {damaged[0].why}" if damaged else ""
        problem = f"The {len(placed)} pictures in {name} are all of one class, {placed[0].label!r}.{left_out}"
        return BadUpload(problem, f"A classifier needs two or more. {WANTED}")
    if damaged:
        problem = f"None of the {len(damaged)} pictures in {name} can be read; {damaged[0].path!r}: {damaged[0].why}"
        return BadUpload(problem, "Then give them again.")
    if pictures:
        return BadUpload(f"The {pictures} pictures in {name} lie loose, outside class folders.", WANTED)
    if archives:
        return BadUpload(f"There are no pictures in {name}, but an archive, {archives[0].path!r}.", "Unpack it first.")
    return BadUpload(f"There are no pictures in {name}.", WANTED)
