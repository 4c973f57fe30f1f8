"""Which column of a table holds pictures, labels, splits, groups: guessed from names and first values, or as told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from zoo.decode import SUFFIXES
from zoo.errors import BadUpload
from zoo.names import clean

Kind = Literal["picture", "class", "text", "number", "other"]

IMAGES: tuple[str, ...] = (
    "image",
    "img",
    "picture",
    "photo",
    "jpg",
    "jpeg",
    "png",
    "webp",
    "image_path",
    "img_path",
    "image_file",
)
IMAGES += (
    "file_name",
    "filename",
    "filepath",
    "file_path",
    "path",
    "file",
    "image_name",
    "img_name",
    "image_id",
    "id_code",
    "uuid",
    "id",
)
LABELS: tuple[str, ...] = (
    "label",
    "labels",
    "class",
    "class_name",
    "label_name",
    "category",
    "target",
    "species",
    "breed",
    "cls",
)
LABELS += ("diagnosis", "dx", "fine_label", "label_id", "class_id", "category_id", "category_name", "y", "tag", "type")
SPLITS: tuple[str, ...] = ("split", "subset", "partition", "data_set", "dataset", "set")
GROUPS: tuple[str, ...] = (
    "group",
    "group_id",
    "patient",
    "patient_id",
    "subject",
    "subject_id",
    "lesion_id",
    "scene_id",
    "burst_id",
)
GROUPS += ("video_id", "session_id", "individual_id", "location_id", "camera_id")


NONE = "-"  # told instead of a name: no such column, whatever one looks like


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of a table's columns, "" for one to be guessed; split and group may be ``NONE``."""

    image: str = ""
    label: str = ""
    split: str = ""
    group: str = ""

    def __bool__(self) -> bool:
        return any(asdict(self).values())


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name, the kind of its values, and the first of them as text."""

    name: str
    kind: Kind
    values: tuple[str, ...] = ()


def choose(columns: Sequence[Column], told: Columns, table: str) -> Columns:
    """The columns that ``told`` names, and where it names none those that look right.

    Raises:
        BadUpload: a named column is not there, or pictures and labels cannot be told from the rest.
    """
    known = {column.name: column for column in columns}
    for what, name in asdict(told).items():
        if name and name not in known and not (name == NONE and what in ("split", "group")):
            raise BadUpload(f"{table!r} has no column {clean(name)!r} for the {what}.", f"It has {_listed(columns)}.")
    found = guess(columns, told)
    for what, name in (("pictures", found.image), ("labels", found.label)):
        if not name:
            raise BadUpload(
                f"It cannot be told which column of {table!r} holds the {what}; it has {_listed(columns)}.",
                "Name the columns of pictures and labels, as in --image COLUMN --label COLUMN.",
            )
    if known[found.label].kind in ("picture", "other"):
        raise BadUpload(f"Column {found.label!r} of {table!r} holds no plain labels.", f"It has {_listed(columns)}.")
    return found


def guess(columns: Sequence[Column], told: Columns) -> Columns:
    """As ``choose``, with "" for what cannot be told from the rest, and for what there is not."""
    names = {column.name for column in columns}
    free = [column for column in columns if column.name not in asdict(told).values()]
    image = told.image or _image(free)
    free = [column for column in free if column.name != image]
    split = told.split or _named(free, SPLITS, ("text", "class"))
    group = told.group or _named(free, GROUPS, ("text", "number", "class"))
    label = told.label or _label([column for column in free if column.name not in (split, group)])
    split, group = ("" if name == NONE and NONE not in names else name for name in (split, group))
    return Columns(image, label, split, group)


@dataclass(frozen=True, slots=True)
class Head:
    """A table before its rows: its columns with their first values, and which of them would be taken.

    ``guessed`` has "" for what cannot be told; ``problem`` says what that is, "" where nothing is missing.
    """

    name: str
    columns: tuple[Column, ...]
    guessed: Columns
    problem: str = ""


class Unclear(BadUpload):
    """Which columns hold what cannot be told; ``head`` lists them."""

    def __init__(self, problem: str, remedy: str, head: Head) -> None:
        super().__init__(problem, remedy)
        self.head = head


def headed(name: str, answer: Mapping[str, Any]) -> Head | None:
    """The columns that the child tells of the table ``name``; None where it tells none, or nonsense."""
    kinds = get_args(Kind)
    try:
        columns = tuple(
            Column(str(one["name"]), one["kind"], tuple(clean(str(value), 200) for value in one["values"][:5]))
            for one in answer.get("columns", ())
            if one["kind"] in kinds
        )
        told = answer["chosen"] if "chosen" in answer else answer["guessed"]
        guessed = {what: str(told[what]) for what in asdict(Columns())}
    except (KeyError, TypeError):
        return None
    there = {column.name for column in columns}
    known = Columns(**{what: name if name in there else "" for what, name in guessed.items()})
    return Head(clean(name), columns, known, str(answer.get("problem", ""))) if columns else None


def _image(columns: Sequence[Column]) -> str:
    pictures = [column for column in columns if column.kind == "picture"]
    paths = [column for column in columns if column.kind == "text" and _like_paths(column.values)]
    return (
        _named(pictures, IMAGES, ("picture",))
        or (pictures[0].name if pictures else "")
        or _named(paths, IMAGES, ("text",))
        or (paths[0].name if paths else "")
        or _named(columns, IMAGES, ("text", "number"))
    )


def _label(columns: Sequence[Column]) -> str:
    classes = [column for column in columns if column.kind == "class"]
    few = [
        column
        for column in columns
        if column.kind in ("text", "number") and 2 <= len(set(column.values)) <= max(2, len(column.values) // 2)
    ]
    return (
        _named(classes, LABELS, ("class",))
        or (classes[0].name if classes else "")
        or _named(columns, LABELS, ("text", "number"))
        or min(
            few, key=lambda column: (column.kind != "text", len(set(column.values))), default=Column("", "other")
        ).name
    )


def _named(columns: Sequence[Column], names: Sequence[str], kinds: Sequence[Kind]) -> str:
    """The column with the earliest of ``names``, however it is written; "" for none."""
    plain = {
        re.sub(r"[\W_]+", "_", column.name.lower()).strip("_"): column.name
        for column in reversed(columns)
        if column.kind in kinds
    }
    return next((plain[name] for name in names if name in plain), "")


def _like_paths(values: Sequence[str]) -> bool:
    like = [PurePosixPath(value.partition("?")[0].lower()).suffix in SUFFIXES for value in values]
    return bool(like) and sum(like) * 2 > len(like)


def _listed(columns: Sequence[Column]) -> str:
    names = ", ".join(repr(clean(column.name, 40)) for column in columns[:20])
    return f"the columns {names}{' and more' * (len(columns) > 20)}" if names else "no columns"
