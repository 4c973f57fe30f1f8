"""One thing that a person may want to change in a dataset, the pictures it is about, and a fix to offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.dataset import Dataset

Kind = Literal[
    "leak", "conflict", "label", "shortcut", "corrupt", "colour", "duplicate", "alike", "few", "imbalance", "size"
]
Severity = Literal["high", "medium", "low"]
Group = tuple[int, ...]

GRAVITY: dict[Severity, int] = {"high": 0, "medium": 1, "low": 2}


@dataclass(frozen=True)
class Fix:
    """What one press of a button would do to ``pictures``.

    Attributes:
        kind: "remove" them, "relabel" each with its entry of ``labels``, "group" what the finding's groups show, or
            "none": nothing that a button could do.
        says: the button's words.
        pictures: indices into the dataset.
        labels: class indices, as many as pictures where kind is "relabel".
    """

    kind: Literal["remove", "relabel", "group", "none"] = "none"
    says: str = ""
    pictures: Group = ()
    labels: Group = ()

    def __post_init__(self) -> None:
        if (self.kind == "none") == bool(self.pictures) or len(self.labels) != len(self.pictures) * (
            self.kind == "relabel"
        ):
            raise ValueError(f"a fix {self.kind!r} of {len(self.pictures)} pictures with {len(self.labels)} labels")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to look at.

    Attributes:
        title: a few words; ``sentence`` says it whole.
        groups: the pictures it is about, as indices; those of one group are shown together.
        files: paths of files that did not become pictures.
        fix: the suggestion; nothing is ever done unasked.
    """

    kind: Kind
    title: str
    sentence: str
    severity: Severity
    groups: tuple[Group, ...] = ()
    files: tuple[str, ...] = ()
    fix: Fix = field(default_factory=Fix)

    @property
    def pictures(self) -> Group:
        return tuple(index for group in self.groups for index in group)

    def as_json(self, dataset: Dataset) -> dict[str, Any]:
        """Plain values; pictures both as indices and as the paths a person knows."""
        return {
            "kind": self.kind,
            "title": self.title,
            "sentence": self.sentence,
            "severity": self.severity,
            "groups": [list(group) for group in self.groups],
            "paths": [[dataset.items[index].name for index in group] for group in self.groups] or list(self.files),
            "fix": {
                "kind": self.fix.kind,
                "says": self.fix.says,
                "pictures": list(self.fix.pictures),
                "labels": [dataset.classes[label] for label in self.fix.labels],
            },
        }


def count(number: int, one: str, several: str = "") -> str:
    """A number and its noun: "1 picture", "3 pictures"."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def named(names: Sequence[str]) -> str:
    """The first few of ``names``."""
    return ", ".join(names[:5]) + " and more" * (len(names) > 5)
