"""What is wrong with a dataset before anything is trained on it, each finding with the pictures it is about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from zoo import sources
from zoo.curve import Curves, curves
from zoo.dataset import Dataset, Skipped
from zoo.duplicates import grouped, same
from zoo.errors import BackboneUnavailable
from zoo.features import Extractor
from zoo.finding import Finding, Group, Kind
from zoo.findings import findings
from zoo.leakage import Leakage, leakage
from zoo.lookalikes import lookalikes
from zoo.pictures import Pictures
from zoo.probe import Floats, ridge
from zoo.sandbox import Progress
from zoo.settings import Settings
from zoo.shortcuts import GRAY, Shortcut, looks, shortcuts
from zoo.store import Store
from zoo.suspects import Suspect, label_suspects
from zoo.twins import twins

JUDGES = ("embedded/tf_efficientnet_lite0", "embedded/tf_efficientnet_lite1")
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
        findings: all of it with picture indices and suggested fixes, for showing.
        leakage, curve: the price of leakage and what more pictures would bring, where features were looked at.
    """

    dataset: Dataset = field(repr=False)
    duplicates: tuple[Paths, ...]
    conflicts: tuple[Paths, ...]
    leaks: tuple[Paths, ...]
    label_suspects: tuple[dict[str, Any], ...]
    shortcuts: tuple[Shortcut, ...]
    findings: tuple[Finding, ...]
    leakage: Leakage | None = None
    curve: Curves | None = None

    @property
    def classes(self) -> dict[str, int]:
        return self.dataset.counts

    @property
    def pictures(self) -> int:
        return len(self.dataset)

    @property
    def corrupt(self) -> Paths:
        return tuple(one.path for one in self.skipped if one.corrupt)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Files passed over, the corrupt ones too."""
        return self.dataset.skipped

    @property
    def sentences(self) -> tuple[str, ...]:
        told = [one.sentence for one in self.findings] or ["Nothing wrong was found."]
        return (*told, *(one.sentence for one in (self.leakage, self.curve) if one is not None))

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
            "findings": [one.as_json(self.dataset) for one in self.findings],
            "leakage": None if self.leakage is None else self.leakage.as_json(),
            "curve": None if self.curve is None else self.curve.as_json(),
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
        labels: doubt labels, look for what shows the same thing, price leakage and draw learning curves too, all of
            which needs features of two backbones (kept for the comparison).
    """
    pictures = Pictures.open(store, dataset)
    crowds = _copies(dataset, pictures)
    seen = looks(pictures)
    giveaways = shortcuts(dataset, seen)
    known = _features(dataset, store, settings, on_progress) if labels else []
    suspects, same_things = _doubts(dataset, known), twins(known, dataset.groups)
    found = findings(
        dataset,
        copies=crowds,
        shortcuts=giveaways,
        suspects=suspects,
        twins=same_things,
        gray=seen.colour < GRAY,
    )
    return HealthReport(
        dataset=dataset,
        duplicates=_named(dataset, crowds),
        conflicts=_named(dataset, _groups_of(found, "conflict")),
        leaks=_named(dataset, [crowd for crowd in crowds if len({dataset.items[i].given for i in crowd}) > 1]),
        label_suspects=tuple(_told(suspect, dataset) for suspect in suspects),
        shortcuts=tuple(giveaways),
        findings=found,
        leakage=leakage(known[0], dataset.y, dataset.groups, len(dataset.classes)) if known else None,
        curve=curves(known[0], dataset.y, dataset.groups, dataset.classes) if known else None,
    )


def _groups_of(found: Sequence[Finding], kind: Kind) -> list[Group]:
    return [group for one in found if one.kind == kind for group in one.groups]


def _named(dataset: Dataset, groups: Sequence[Group]) -> tuple[Paths, ...]:
    return tuple(tuple(dataset.items[index].name for index in group) for group in groups)


def _copies(dataset: Dataset, pictures: Pictures) -> list[Group]:
    """Groups of two pictures or more that look the same, in order of their first.

    Copies share a group since the intake, but a group may hold what only belongs together, such as a burst.
    """
    size = np.bincount(dataset.groups)
    among = np.flatnonzero(size[dataset.groups] > 1).tolist()
    pairs = same([item.sha for item in dataset.items]) + lookalikes(pictures, among=among)
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(grouped(len(dataset), pairs)):
        members[group].append(index)
    return [tuple(crowd) for crowd in members.values() if len(crowd) > 1]


def _features(dataset: Dataset, store: Store, settings: Settings, on_progress: Progress) -> list[Floats]:
    """(N, D) of each judge; none where one cannot be had."""
    everyone = np.arange(len(dataset))
    heads: list[Floats] = []
    for number, judge in enumerate(JUDGES):

        def told(done: int, total: int, before: int = number) -> None:
            on_progress("labels", before * total + done, len(JUDGES) * total)

        try:
            heads.append(Extractor(sources.card(judge, settings), dataset, store, settings).rows(everyone, told).head)
        except BackboneUnavailable:
            return []
    return heads


def _doubts(dataset: Dataset, known: list[Floats]) -> list[Suspect]:
    """Labels that all judges doubt; none where a class is too small to know it."""
    if not known or min(dataset.counts.values()) < FEWEST:
        return []
    probes = [ridge(head, dataset.y, dataset.groups, classes=len(dataset.classes)) for head in known]
    return label_suspects(probes, dataset.y)


def _told(suspect: Suspect, dataset: Dataset) -> dict[str, Any]:
    return {
        "path": dataset.items[suspect.index].name,
        "given": dataset.classes[suspect.given],
        "suggested": dataset.classes[suspect.suggested],
        "score": round(suspect.score, 4),
    }
