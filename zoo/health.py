"""What is wrong with a dataset before anything is trained on it, each finding with the pictures it is about."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from zoo import sources
from zoo.dataset import Dataset, Item, Skipped
from zoo.errors import BackboneUnavailable
from zoo.features import Extractor
from zoo.pictures import Pictures
from zoo.probe import ridge
from zoo.sandbox import Progress
from zoo.settings import Settings
from zoo.shortcuts import Shortcut, shortcuts
from zoo.store import Store
from zoo.suspects import Suspect, label_suspects

JUDGES = ("embedded/tf_efficientnet_lite0", "embedded/tf_efficientnet_lite1")
FEW = 10  # pictures a class, below which nothing can be said of it
FEWEST = 4  # pictures a class for labels to be doubted

Paths = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class HealthReport:
    """Findings about a dataset; ``sentences`` says them to a person, the gravest first.

    Attributes:
        duplicates: groups of pictures that are the same, or nearly.
        conflicts: those of the groups that have more than one label.
        leaks: those of the groups that lie in more than one given split folder.
        shortcuts: what tells the class without the subject.
        skipped: files passed over, the corrupt ones too.
    """

    classes: dict[str, int]
    corrupt: Paths
    duplicates: tuple[Paths, ...]
    conflicts: tuple[Paths, ...]
    leaks: tuple[Paths, ...]
    label_suspects: tuple[dict[str, Any], ...]
    shortcuts: tuple[Shortcut, ...]
    skipped: tuple[Skipped, ...]

    @property
    def pictures(self) -> int:
        return sum(self.classes.values())

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(_sentences(self))

    def as_json(self) -> dict[str, Any]:
        """The document of ``python -m zoo check --json``."""
        return {
            "pictures": self.pictures,
            "classes": self.classes,
            "corrupt": list(self.corrupt),
            "duplicates": [list(paths) for paths in self.duplicates],
            "leaks": [list(paths) for paths in self.leaks],
            "label_suspects": list(self.label_suspects),
            "shortcuts": [asdict(shortcut) for shortcut in self.shortcuts],
            "skipped": [{"path": one.path, "why": one.why} for one in self.skipped],
        }


def check(
    dataset: Dataset,
    store: Store,
    settings: Settings,
    *,
    labels: bool = True,
    on_progress: Progress = lambda _stage, _done, _total: None,
) -> HealthReport:
    """Everything that can be found out about ``dataset`` without training.

    Args:
        labels: doubt labels too, which needs the features of two backbones (kept for the comparison).
    """
    crowds = _crowds(dataset)
    found = _doubts(dataset, store, settings, on_progress) if labels else []
    return HealthReport(
        classes=dataset.counts,
        corrupt=tuple(one.path for one in dataset.skipped if one.corrupt),
        duplicates=tuple(_names(crowd) for crowd in crowds),
        conflicts=tuple(_names(crowd) for crowd in crowds if len({item.label for item in crowd}) > 1),
        leaks=tuple(_names(crowd) for crowd in crowds if len({item.given for item in crowd}) > 1),
        label_suspects=tuple(_told(suspect, dataset) for suspect in found),
        shortcuts=tuple(shortcuts(dataset, Pictures.open(store, dataset))),
        skipped=dataset.skipped,
    )


def _crowds(dataset: Dataset) -> list[list[Item]]:
    """Groups of two pictures or more, in order of their first."""
    members: dict[int, list[Item]] = defaultdict(list)
    for item in dataset.items:
        members[item.group].append(item)
    return [crowd for crowd in members.values() if len(crowd) > 1]


def _names(crowd: list[Item]) -> Paths:
    return tuple(item.name for item in crowd)


def _doubts(dataset: Dataset, store: Store, settings: Settings, on_progress: Progress) -> list[Suspect]:
    """Labels that both judges doubt; none where a class is too small to know it, or a judge cannot be had."""
    if min(dataset.counts.values()) < FEWEST:
        return []
    everyone = np.arange(len(dataset))
    probes = []
    for number, judge in enumerate(JUDGES):

        def told(done: int, total: int, before: int = number) -> None:
            on_progress("labels", before * total + done, len(JUDGES) * total)

        try:
            features = Extractor(sources.card(judge, settings), dataset, store, settings).rows(everyone, told)
        except BackboneUnavailable:
            return []
        probes.append(ridge(features.head, dataset.y, dataset.groups, classes=len(dataset.classes)))
    return label_suspects(probes, dataset.y)


def _told(suspect: Suspect, dataset: Dataset) -> dict[str, Any]:
    return {
        "path": dataset.items[suspect.index].name,
        "given": dataset.classes[suspect.given],
        "suggested": dataset.classes[suspect.suggested],
        "score": round(suspect.score, 4),
    }


def _sentences(report: HealthReport) -> list[str]:
    told = []
    if report.leaks:
        told.append(f"{_count(report.leaks, 'picture')} in more than one split folder: the test would be too easy.")
    if report.conflicts:
        told.append(f"{_count(report.conflicts, 'picture')} under more than one label: keep one copy of each.")
    same = len(report.duplicates) - len(report.conflicts)
    if same > 0:
        told.append(f"{same} {_plural(same, 'group')} of (nearly) the same picture; no split will part them.")
    if report.corrupt:
        told.append(f"{len(report.corrupt)} {_plural(len(report.corrupt), 'file')} cannot be read as a picture.")
    if report.label_suspects:
        first = report.label_suspects[0]
        told.append(
            f"{len(report.label_suspects)} {_plural(len(report.label_suspects), 'label')} may be wrong, first "
            f"{first['path']}: {first['given']}, perhaps {first['suggested']}."
        )
    told += [
        f"The {one.feature} alone tells the class in {one.accuracy:.0%} of pictures (chance {one.chance:.0%}): "
        "a classifier may learn that instead of the subject."
        for one in report.shortcuts
    ]
    few = [name for name, count in report.classes.items() if count < FEW]
    if few:
        told.append(f"Fewer than {FEW} pictures in {', '.join(few[:5])}{' and more' * (len(few) > 5)}: add some.")
    return told or ["Nothing wrong was found."]


def _count(crowds: tuple[Paths, ...], what: str) -> str:
    return f"{len(crowds)} {_plural(len(crowds), what)} {'lies' if len(crowds) == 1 else 'lie'}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
