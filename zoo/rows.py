"""Rows of tables that strangers made, read inside the child: CSV, Parquet, saved datasets. Nothing here opens a path
that a table names; pictures that lie in a table become numbered files of ours."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any

from zoo.columns import Column, Columns, Kind, choose, guess
from zoo.decode import MAX_BYTES, SUFFIXES
from zoo.errors import BadUpload
from zoo.names import clean

MOST_ROWS = 1_000_000
MOST_COLUMNS = 2000
MOST_CELL = 1 << 20  # characters
SAMPLE = 200  # rows by which columns are guessed
BATCH = 32  # rows of pictures held in memory at once

Cells = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table before its rows are read.

    Attributes:
        rows: gives every row's cells, of the columns asked for.
        names: of the values of label columns that hold numbers.
        note: a sentence on how it was read, "" for nothing odd.
    """

    columns: tuple[Column, ...]
    rows: Callable[[Sequence[str]], Iterator[Cells]]
    names: Mapping[str, Sequence[str]]
    note: str = ""


class Purse:
    """Numbered files for the pictures of tables, never more than ``most`` bytes in all."""

    def __init__(self, into: Path, most: int, begin: int) -> None:
        self._into, self._left, self._number = into, most, begin

    def keep(self, content: bytes) -> str:
        """The name of a new file with ``content``.

        Raises:
            BadUpload: that would be too much.
        """
        self._left -= len(content)
        if self._left < 0:
            raise BadUpload("The pictures in the table take more room than there may be.", "Give fewer of them.")
        self._number += 1
        name = f"9{self._number:07}"  # no archive has so many entries that its numbers would meet these
        (self._into / name).write_bytes(content)
        return name


def read(
    files: Iterable[IO[bytes] | None],
    tables: Sequence[Mapping[str, Any]],
    into: Path,
    told: Columns,
    most_bytes: int,
    begin: int,
) -> Iterator[dict[str, Any]]:
    """Answers about ``tables``, in the order of their ``files``: one with its columns, then one for each row.

    Each table has its shown ``name``, the part it was ``given`` as, and ``features`` where a description beside it has
    them; files are numbered after ``begin``. The first table that can be used decides the columns of all; one that
    cannot be used is answered with its problem.
    """
    purse = Purse(into, most_bytes, begin)
    for number, (maybe, table) in enumerate(zip(files, tables, strict=True)):
        try:
            with _there(maybe) as file:
                for answer in answers(opened(file, table["features"]), told, table, purse):
                    if "chosen" in answer:
                        told = Columns(**answer["chosen"])
                    yield {"table": number} | answer
        except BadUpload as bad:
            yield {"table": number, "problem": bad.problem, "remedy": bad.remedy}


def _there(file: IO[bytes] | None) -> IO[bytes]:
    if file is None:
        raise BadUpload("It cannot be opened.", "Check that it is there and may be read.")
    return file


def answers(table: Table, told: Columns, about: Mapping[str, Any], purse: Purse) -> Iterator[dict[str, Any]]:
    """The columns of one table, then its rows."""
    shown = [asdict(column) | {"values": column.values[:5]} for column in table.columns]
    try:
        chosen = choose(table.columns, told, about["name"])
    except BadUpload as bad:
        maybe = asdict(guess(table.columns, Columns()))
        yield {"columns": shown, "guessed": maybe, "problem": bad.problem, "remedy": bad.remedy}
        return
    yield {"columns": shown, "chosen": asdict(chosen), "note": table.note}
    count = 0
    try:
        for count, cells in enumerate(table.rows([name for name in asdict(chosen).values() if name]), 1):
            if count > MOST_ROWS:
                yield {"why": f"It has more than {MOST_ROWS} rows; those after them were not read."}
                return
            row = {
                "label": _named(cells.get(chosen.label), table.names.get(chosen.label, ())),
                "given": _text(cells.get(chosen.split)) if chosen.split else about["given"],
                "group": _text(cells.get(chosen.group)),
            }
            yield {"row": count, **row, **_picture(cells.get(chosen.image), purse)}
    except _broken() as error:
        yield {"why": f"It is damaged after row {count}: {_said(error)}"}


def opened(file: IO[bytes], features: Mapping[str, Any]) -> Table:
    """The table in ``file``: Parquet, an Arrow stream, or CSV.

    Raises:
        BadUpload: it is damaged, or no table.
    """
    start = file.read(8)
    file.seek(0)
    try:
        if start.startswith(b"PAR1"):
            return _parquet(file)
        return _stream(file, features) if start.startswith(b"\xff\xff\xff\xff") else _csv(file)
    except _broken() as error:
        raise BadUpload(f"The table is damaged: {_said(error)}", "Write it anew.") from None


def _broken() -> tuple[type[Exception], ...]:
    try:
        from pyarrow import ArrowException
    except ImportError:
        return (csv.Error, OSError, ValueError, KeyError, TypeError)
    return (csv.Error, OSError, ValueError, KeyError, TypeError, ArrowException)


def _said(error: Exception) -> str:
    return clean(str(error).splitlines()[0] if str(error) else type(error).__name__, 120)


# CSV


def _csv(file: IO[bytes]) -> Table:
    encoding = _encoding(file)
    with _text_of(file, encoding) as text:
        first = text.readline(MOST_CELL)
    if "\0" in first or first.startswith("\x1f"):
        raise BadUpload("It is neither CSV nor Parquet.", "Save the table as CSV in UTF-8.")
    mark = max(",;\t|", key=first.count)
    csv.field_size_limit(MOST_CELL)

    def lines() -> Iterator[list[str]]:
        with _text_of(file, encoding) as text:
            yield from (line for line in csv.reader(text, delimiter=mark, skipinitialspace=True) if line)

    head = next(lines(), [])
    if not 1 < len(head) <= MOST_COLUMNS:
        raise BadUpload(f"It has {len(head)} columns.", "Write a column of picture paths and one of labels.")
    headless = any(PurePosixPath(cell.lower()).suffix in SUFFIXES for cell in head)
    names = [f"column {number}" for number in range(1, len(head) + 1)] if headless else _apart(head)

    def rows(_: Sequence[str]) -> Iterator[Cells]:
        for line in islice(lines(), 0 if headless else 1, None):
            yield dict(zip(names, line, strict=False))

    sample = list(islice(rows(()), SAMPLE))
    columns = [Column(name, *_kind([row.get(name, "").strip() for row in sample])) for name in names]
    return Table(tuple(columns), rows, {}, f"It is not UTF-8: read as {encoding}." * (encoding != "utf-8-sig"))


@contextmanager
def _text_of(file: IO[bytes], encoding: str) -> Iterator[TextIOWrapper]:
    """The text of ``file`` from its start; the file stays open."""
    file.seek(0)
    text = TextIOWrapper(file, encoding, errors="replace", newline="")
    try:
        yield text
    finally:
        text.detach()


def _encoding(file: IO[bytes]) -> str:
    """UTF-8 where it decodes as that; UTF-16 with its mark; else what Windows calls ANSI in the West."""
    file.seek(0)
    if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(1 << 20):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8-sig"


def _apart(head: Sequence[str]) -> list[str]:
    """Names of columns, each once."""
    names: list[str] = []
    for cell in head:
        name = cell.strip() or "(no name)"
        while name in names:
            name += "'"
        names.append(name)
    return names


def _kind(values: Sequence[str]) -> tuple[Kind, tuple[str, ...]]:
    have = tuple(value for value in values if value)
    number = bool(have) and all(value.replace(".", "", 1).replace("-", "", 1).isdigit() for value in have)
    return ("number" if number else "text"), tuple(clean(value, 200) for value in have)


# Parquet, and the Arrow streams of saved datasets


def _parquet(file: IO[bytes]) -> Table:
    from pyarrow import parquet

    whole = parquet.ParquetFile(file, thrift_string_size_limit=64 << 20, thrift_container_size_limit=1 << 20)
    schema = whole.schema_arrow

    def rows(wanted: Sequence[str]) -> Iterator[Cells]:
        for batch in whole.iter_batches(batch_size=BATCH, columns=list(wanted), use_threads=False):
            yield from batch.to_pylist()

    return arrow_table(schema, _features(schema), rows)


def _stream(file: IO[bytes], features: Mapping[str, Any]) -> Table:
    from pyarrow import ipc

    def rows(wanted: Sequence[str]) -> Iterator[Cells]:
        file.seek(0)
        for batch in ipc.open_stream(file):
            for start in range(0, len(batch), BATCH):
                yield from batch.select(list(wanted)).slice(start, BATCH).to_pylist()

    schema = ipc.open_stream(file).schema
    return arrow_table(schema, features or _features(schema), rows)


def _features(schema: Any) -> Mapping[str, Any]:
    """What Hugging Face's libraries write beside an Arrow schema."""
    written = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = written.get("info", {}).get("features") if isinstance(written, dict) else {}
    return features if isinstance(features, dict) else {}


def arrow_table(schema: Any, features: Mapping[str, Any], rows: Callable[[Sequence[str]], Iterator[Cells]]) -> Table:
    """A table of Arrow's; ``features`` as Hugging Face writes them, which name the classes."""
    if len(schema) > MOST_COLUMNS:
        raise BadUpload(f"It has {len(schema)} columns.", f"Keep fewer than {MOST_COLUMNS}.")
    names = {name: _class_names(feature) for name, feature in features.items() if _class_names(feature)}
    kinds: dict[str, Kind] = {
        field.name: "class" if field.name in names else _arrow_kind(field.type) for field in schema
    }
    plain = [name for name, kind in kinds.items() if kind in ("class", "text", "number")]
    sample = list(islice(rows(plain), SAMPLE)) if plain else []
    columns = [
        Column(name, kind, tuple(clean(_text(row[name]), 200) for row in sample if name in row and _text(row[name])))
        for name, kind in kinds.items()
    ]
    return Table(tuple(columns), rows, names)


def _class_names(feature: object) -> list[str]:
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return []
    names = feature.get("names")
    if isinstance(names, dict):  # as older versions wrote them: {"0": "cat"}
        names = [names[key] for key in sorted(names, key=int)]
    return [str(name) for name in names] if isinstance(names, list) else []


def _arrow_kind(kind: Any) -> Kind:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_struct(kind):
        inside = {kind.field(index).name for index in range(kind.num_fields)}
        return "picture" if "bytes" in inside and inside <= {"bytes", "path"} else "other"
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return "picture"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_boolean(kind):
        return "text"
    return "number" if types.is_integer(kind) or types.is_floating(kind) else "other"


# Cells


def _picture(cell: object, purse: Purse) -> dict[str, str]:
    """The numbered file of a picture that lies in the table, and the path that the table has for it."""
    if isinstance(cell, dict):
        content, path = cell.get("bytes"), _text(cell.get("path"))
    else:
        content, path = (cell, "") if isinstance(cell, bytes) else (None, _text(cell))
    if not isinstance(content, bytes) or (not content and path):
        return {"path": path[:2000], "file": ""}
    if len(content) > MAX_BYTES:
        return {"path": path[:2000], "file": "", "bad": f"It has {len(content) >> 20} MiB."}
    return {"path": path[:2000], "file": purse.keep(content)}


def _text(cell: object) -> str:
    if cell is None or (isinstance(cell, float) and cell != cell):  # noqa: PLR0124 - not a number
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip() if isinstance(cell, str | int | float | bool) else ""


def _named(cell: object, names: Sequence[str]) -> str:
    """The class's name where numbers have names; a number outside them, as -1 for unlabelled, has none."""
    if names and isinstance(cell, int):
        return names[cell] if 0 <= cell < len(names) else ""
    return _text(cell)
