"""A table of pictures and labels becomes what folders of classes would be; its paths never lead out of its folder."""

from __future__ import annotations

import json
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from zoo.answers import Died
from zoo.columns import Columns, Head, Unclear, headed
from zoo.dataset import Skipped
from zoo.errors import BadUpload
from zoo.layout import SPLITS, TABLES, Found, Gathered, Placed, junk, shown_labels, walk
from zoo.names import clean
from zoo.sandbox import Progress, Sandbox

HEAD_BYTES = 1 << 30  # that the child may write before it is told that its columns were all that was asked
MOST_OPEN = 64  # tables handed to the child at once
READERS = ("zoo.rows", "pyarrow.parquet", "pyarrow.ipc", "encodings.utf_8_sig", "encodings.utf_16", "encodings.cp1252")

TOP = PurePosixPath()

_ADDRESS = re.compile(r"(?i)(?:https?|ftp|s3|gs|hf|file)://|data:|www\.")


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table on disk: the name a person knows it by, the part it is of, the folder its paths start from.

    ``features`` are Hugging Face's description of its columns where that lies beside it.
    """

    path: Path
    name: str
    given: str = ""
    base: PurePosixPath = TOP
    features: Mapping[str, Any] = field(default_factory=dict)


class Shelf:
    """Files that tables may name, found by path; a name alone will do where only one file has it."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._paths = {_key(str(one.path)): one for one in found}
        names = Counter(_key(one.path.name) for one in found)
        stems = Counter(_key(one.path.stem) for one in found)
        self._names = {_key(one.path.name): one for one in found if names[_key(one.path.name)] == 1}
        self._stems = {_key(one.path.stem): one for one in found if stems[_key(one.path.stem)] == 1}

    def find(self, value: str, base: PurePosixPath) -> Found | str:
        """The file that ``value`` names, seen from the folder ``base``, or why there is none."""
        plain = value.replace("\\", "/")
        if _ADDRESS.match(plain):
            return ADDRESS
        path = within(base, plain)
        if path is None:
            return "Its path leads out of the table's folder."
        found = self._paths.get(_key(str(path))) or self._paths.get(_key(str(PurePosixPath(plain))))
        if found is None and "/" not in plain:
            found = self._names.get(_key(plain)) or self._stems.get(_key(plain))
        return found or MISSING


ADDRESS = "A web address; pictures are not fetched."
MISSING = "There is no such file."


class Beside(Shelf):
    """Files below the folder ``root`` of a lone table; the folder is walked only if a path alone does not do."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._walked = False

    def find(self, value: str, base: PurePosixPath) -> Found | str:
        path = None if _ADDRESS.match(value) else within(base, value.replace("\\", "/"))
        if path is not None:
            whole = self._root / path
            try:
                if whole.resolve() == self._root.resolve() / path and whole.is_file():
                    return Found(str(path), path)
            except (OSError, ValueError, RuntimeError):
                return MISSING
        if not self._walked:
            super().__init__(walk(self._root)[0])
            self._walked = True
        return super().find(value, base)


def within(base: PurePosixPath, path: str) -> PurePosixPath | None:
    """``path`` seen from ``base``, without "..", or None where it leads out of the top or is absolute."""
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or "\0" in path:
        return None
    parts: list[str] = []
    for part in (*base.parts, *path.split("/")):
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return PurePosixPath(*parts)


def from_tables(
    tables: Sequence[TableFile],
    shelf: Shelf,
    root: Path,
    title: str,
    sandbox: Sandbox,
    room: Path,
    columns: Columns,
    most_bytes: int,
    told: Progress,
) -> Gathered:
    """Pictures and labels as ``tables`` have them; pictures that lie in the tables become files in ``room``.

    Raises:
        BadUpload: no table can be used, or none of its pictures is there.
    """
    reading = Reading(tables, shelf, room)
    for start in range(0, len(tables), MOST_OPEN):
        some = tables[start : start + MOST_OPEN]
        left, begin = most_bytes - reading.bytes, reading.inside
        for answer in asked(some, sandbox, room, reading.columns or columns, left, begin):
            reading.take(answer, start)
            if reading.rows % 200 == 0:
                told("read", reading.rows, 0)
    return reading.gathered(root, title)


def asked(
    tables: Sequence[TableFile],
    sandbox: Sandbox,
    room: Path,
    columns: Columns,
    most_bytes: int,
    begin: int = 0,
) -> Generator[dict[str, Any]]:
    """The child's answers about ``tables``, as ``zoo.rows.read`` gives them.

    Raises:
        BadUpload: the child died of them, or they hold too much.
    """
    job = {
        "tables": [
            {"path": str(one.path), "name": one.name, "given": one.given, "features": one.features} for one in tables
        ],
        "columns": asdict(columns),
        "into": str(room),
        "most_bytes": most_bytes,
        "begin": begin,
    }
    with ExitStack() as stack:
        try:
            files = [stack.enter_context(one.path.open("rb")) for one in tables]
            handed = [file.fileno() for file in files]
            yield from sandbox.ask("table", job, handed, room=room, modules=READERS)
        except Died:
            raise BadUpload(
                f"Reading {tables[0].name[:80]!r} took more memory or time than a table of pictures would.",
                "Write it anew, in smaller files or with smaller groups of rows.",
            ) from None
        except OSError as error:
            raise BadUpload(f"A table cannot be read: {error.strerror}.", "Check that it may be read.") from None


def head(table: TableFile, sandbox: Sandbox, room: Path) -> Head:
    """The columns of ``table``, its rows unread.

    Raises:
        BadUpload: it is no table.
    """
    with closing(asked([table], sandbox, room, Columns(), HEAD_BYTES)) as answers:
        answer = next(answers, {})
    found = headed(table.name, answer)
    if found is None:
        raise BadUpload(
            str(answer.get("problem", "It has no columns.")), str(answer.get("remedy", "Give a table with rows."))
        )
    return found


class Reading:
    """What the child's answers come to, none of them believed unchecked."""

    def __init__(self, tables: Sequence[TableFile], shelf: Shelf, room: Path) -> None:
        self._tables, self._shelf, self._room = tables, shelf, room
        self.columns: Columns | None = None
        self.rows = self.inside = self.bytes = 0
        self._found: list[Found] = []
        self._placed: list[tuple[str, str, str]] = []
        self._beside: dict[str, str] = {}
        self._skipped: list[Skipped] = []
        self.notes: list[str] = []
        self._refused: BadUpload | None = None
        self._first: dict[str, str] = {}

    def take(self, answer: Mapping[str, Any], start: int) -> None:
        table = self._tables[start + int(answer["table"])]
        if "problem" in answer:
            why, head = (str(answer["problem"]), str(answer["remedy"])), headed(table.name, answer)
            self._refused = self._refused or (Unclear(*why, head) if head else BadUpload(*why))
            self._skipped.append(Skipped(clean(table.name, 300), clean(str(answer["problem"]), 300), corrupt=True))
        elif "why" in answer:
            self._skipped.append(Skipped(clean(table.name, 300), clean(str(answer["why"]), 300), corrupt=True))
        elif "chosen" in answer:
            self._choose(Columns(**{name: str(value) for name, value in answer["chosen"].items()}), table, answer)
        else:
            self.rows += 1
            self._row(table, {name: str(value) for name, value in answer.items()})

    def _choose(self, chosen: Columns, table: TableFile, answer: Mapping[str, Any]) -> None:
        if self.columns is None:
            self.columns = chosen
            more = "".join(
                f", {what} from {clean(name, 40)!r}"
                for what, name in (("splits", chosen.split), ("groups", chosen.group))
                if name
            )
            columns = f"pictures from column {clean(chosen.image, 40)!r}, labels from {clean(chosen.label, 40)!r}{more}"
            self.notes.append(f"{clean(table.name)}: {columns}.")
        if answer.get("note"):
            self.notes.append(f"{clean(table.name)}: {clean(str(answer['note']), 200)}")

    def _row(self, table: TableFile, row: Mapping[str, str]) -> None:
        number, path, label = row["row"], row["path"], row["label"]
        found, why = self._file(table, row)
        if found and not label:
            why = "It has no label."
        elif found and not row["file"] and found.file in self._beside:
            before = self._beside[found.file]
            why = "It is listed twice." if before == label else f"It is listed before, as {clean(before)!r}."
        if found is None or why:
            where = f"{table.name} row {number}" + f": {path}" * bool(path)
            self._first.setdefault(why, path)
            self._skipped.append(Skipped(clean(where, 300), why, corrupt="bad" in row))
            return
        if not row["file"]:
            self._beside[found.file] = label
        self._found.append(found)
        self._placed.append((label, row["given"], row["group"]))

    def _file(self, table: TableFile, row: Mapping[str, str]) -> tuple[Found | None, str]:
        number, path, file = row["row"], row["path"], row["file"]
        if row.get("bad"):
            return None, clean(row["bad"], 200)
        if file:
            kept = (self._room / file).lstat() if file.isascii() and file.isdigit() else None
            if kept is None or not stat.S_ISREG(kept.st_mode):
                raise Died
            self.inside, self.bytes = self.inside + 1, self.bytes + kept.st_size
            name = PurePosixPath(path.replace("\\", "/")).name or f"row {number}"
            return Found(file, PurePosixPath(table.name, f"{int(number):06} {name}" if path else name)), ""
        if not path:
            return None, "It has no picture."
        found = self._shelf.find(path, table.base)
        return (None, found) if isinstance(found, str) else (found, "")

    def gathered(self, root: Path, title: str) -> Gathered:
        if self.columns is None:
            raise self._refused or BadUpload(f"There is no row in {clean(title)!r}.", "Give a table with rows.")
        if not self._found:
            raise self._nothing()
        if self.inside and root != self._room:  # one dataset has one root
            self._leave_out_beside()
            root = self._room
        labels = shown_labels(sorted({label for label, _, _ in self._placed}))
        placed, odd = _with_parts(
            [Placed(index, labels[label], part, group) for index, (label, part, group) in enumerate(self._placed)]
        )
        return Gathered(root, title, tuple(self._found), tuple(placed), tuple(self._skipped), (*self.notes, *odd))

    def _leave_out_beside(self) -> None:
        inside = [index for index, one in enumerate(self._found) if one.file not in self._beside]
        self._skipped += [
            Skipped(clean(str(one.path), 300), "It lies beside the table, whose other pictures lie in it.")
            for one in self._found
            if one.file in self._beside
        ]
        self._found = [self._found[index] for index in inside]
        self._placed = [self._placed[index] for index in inside]

    def _nothing(self) -> BadUpload:
        name = clean(self._tables[0].name)
        if ADDRESS in self._first:
            return BadUpload(
                f"The pictures of {name!r} are web addresses, and nothing is fetched from there.",
                "Download the pictures first and name the files.",
            )
        if MISSING in self._first:
            return BadUpload(
                f"None of the pictures that {name!r} names is there, the first being {clean(self._first[MISSING])!r}.",
                "Put the pictures where the paths say, seen from the table's own folder.",
            )
        why, path = next(iter(self._first.items()), ("It has no rows.", ""))
        return BadUpload(f"No picture of {name!r} can be used, the first ({clean(path)!r}) because: {why}", "Check it.")


def _with_parts(placed: Sequence[Placed]) -> tuple[list[Placed], list[str]]:
    """Parts as the studio calls them; none where no picture is given to train on."""
    known = [SPLITS.get(one.given.strip().lower(), "") for one in placed]
    odd = sorted({one.given for one, part in zip(placed, known, strict=True) if one.given and not part})
    notes = [f"Parts that are not train, val or test count as none: {clean(', '.join(odd), 100)}."] if odd else []
    if "train" not in known:
        known = [""] * len(known)
    return [Placed(one.index, one.label, part, one.group) for one, part in zip(placed, known, strict=True)], notes


def is_table(path: PurePosixPath) -> bool:
    """Whether a file of this name may say the labels of the pictures beside it."""
    return path.suffix.lower() in TABLES and not junk(path) and "submission" not in path.name.lower()


def part_of(path: PurePosixPath) -> str:
    """The part that a table's name or folder says, as in ``train-00000-of-00002.parquet``; "" for none."""
    words = [*re.split(r"[^a-z]+", path.stem.lower()), path.parent.name.lower()]
    return next((SPLITS[word] for word in words if word in SPLITS), "")


def saved(folder: Path) -> list[TableFile]:
    """The tables of a dataset that ``datasets.save_to_disk`` wrote into ``folder``; none where it is another folder.

    Raises:
        BadUpload: its description is damaged, or names a file outside it.
    """
    try:
        if (folder / "dataset_dict.json").is_file():
            names = json.loads((folder / "dataset_dict.json").read_bytes())["splits"]
            return [one for name in names for one in _shards(folder, str(name))]
        if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
            return _shards(folder, "")
    except (OSError, ValueError, KeyError, TypeError):
        raise BadUpload(f"The saved dataset {clean(folder.name)!r} is damaged.", "Save it anew.") from None
    return []


def _shards(folder: Path, split: str) -> list[TableFile]:
    place = folder / split
    files = [str(entry["filename"]) for entry in json.loads((place / "state.json").read_bytes())["_data_files"]]
    features = json.loads((place / "dataset_info.json").read_bytes()).get("features")
    for path in (place, *(place / file for file in files)):
        if path.resolve().parent != (folder if path == place and split else place).resolve() and path != folder:
            raise BadUpload("The saved dataset names a file outside its folder.", "Save it anew.")
    name = split or folder.name
    return [
        TableFile(place / file, f"{name}/{file}", split, features=features if isinstance(features, dict) else {})
        for file in files
    ]


def _key(path: str) -> str:
    return unicodedata.normalize("NFC", path)
