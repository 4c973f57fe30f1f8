"""What became of every file that was given: read, read and repaired, or passed over, with the reason."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any, TypeVar

from zoo.dataset import Dataset

Key = TypeVar("Key")

SHOWN = 20  # paths given with each reason
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def repair_report(dataset: Dataset) -> dict[str, Any]:
    """Counts and reasons: pictures, notes, repaired [{what, count, paths}], skipped [{why, count, paths, corrupt}]."""
    repaired: dict[str, list[str]] = defaultdict(list)
    for item in dataset.items:
        for what in filter(None, item.repaired.split(", ")):
            repaired[what].append(item.name)
    skipped: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for one in dataset.skipped:
        skipped[one.why, one.corrupt].append(one.path)
    return {
        "pictures": len(dataset),
        "classes": dataset.counts,
        "notes": list(dataset.notes),
        "repaired": [{"what": what, "count": len(paths), "paths": paths[:SHOWN]} for what, paths in _most(repaired)],
        "skipped": [
            {"why": why, "count": len(paths), "paths": paths[:SHOWN], "corrupt": corrupt}
            for (why, corrupt), paths in _most(skipped)
        ],
    }


def repair_csv(dataset: Dataset) -> str:
    """One line a file: path, class, what became of it, why. No cell is a formula to a spreadsheet."""
    text = StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["path", "class", "outcome", "detail"])
    for item in dataset.items:
        outcome = "repaired" if item.repaired else "read"
        writer.writerow(harmless([item.name, dataset.classes[item.label], outcome, item.repaired]))
    for one in dataset.skipped:
        writer.writerow(harmless([one.path, "", "unreadable" if one.corrupt else "passed over", one.why]))
    return text.getvalue()


def harmless(cells: Iterable[str]) -> list[str]:
    """``cells`` with an apostrophe before each that a spreadsheet would take for a formula."""
    return [f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell for cell in cells]


def _most(reasons: Mapping[Key, list[str]]) -> list[tuple[Key, list[str]]]:
    return sorted(reasons.items(), key=lambda entry: -len(entry[1]))
