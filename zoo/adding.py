"""Pictures or classes added later: a new revision of a dataset, the old one left as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zoo.columns import Columns
from zoo.dataset import Dataset, Item, Skipped
from zoo.intake import at_desk, build, gather, keep
from zoo.layout import Found, Gathered, Placed, explain
from zoo.names import clean
from zoo.sandbox import Progress
from zoo.settings import Settings
from zoo.store import Store


def add(
    dataset: Dataset,
    source: Path | str,
    store: Store,
    settings: Settings,
    on_progress: Progress = lambda _stage, _done, _total: None,
    columns: Columns | None = None,
    change: str = "",
) -> Dataset:
    """``dataset`` with the pictures of ``source``, which ``zoo.intake.intake`` describes; one class is enough there.

    A picture that ``dataset`` has already is not taken twice. The result is saved; ``parent`` says what it was made of,
    and ``change`` how, in a sentence that names the source unless it is given.

    Raises:
        BadUpload: nothing of ``source`` can be used.
    """
    with at_desk(store, settings, on_progress) as desk:
        more = gather(source, desk, columns or Columns())
        joined = _joined(as_gathered(dataset), more, desk.room)
        built = build(joined, desk, dataset) if more.placed else dataset
        if not _any_of(more, built, desk.room):
            names = {clean(str(more.found[one.index].path), 300) for one in more.placed}
            useless = [one for one in built.skipped[len(dataset.skipped) :] if one.corrupt and one.path in names]
            raise explain(more.title, (), len(more.found), useless or more.skipped)
        fresh = keep(_once(built, dataset), desk)
    return _revised(fresh, dataset, clean(str(source)), store, change)


def merge(
    dataset: Dataset,
    other: Dataset,
    store: Store,
    settings: Settings,
    on_progress: Progress = lambda _stage, _done, _total: None,
) -> Dataset:
    """``dataset`` with the pictures of ``other``, classes of one name being one class; otherwise as ``add``."""
    with at_desk(store, settings, on_progress) as desk:
        joined = _joined(as_gathered(dataset), as_gathered(other), desk.room)
        fresh = keep(_once(build(joined, desk, dataset), dataset), desk)
    return _revised(fresh, dataset, other.title, store)


def as_gathered(dataset: Dataset) -> Gathered:
    """The pictures of ``dataset`` as if they had just been found; its groups stay groups."""
    size = Counter(item.group for item in dataset.items)
    return Gathered(
        root=dataset.root,
        title=dataset.title,
        found=tuple(Found(item.file, item.name) for item in dataset.items),
        placed=tuple(
            Placed(
                index,
                dataset.classes[item.label],
                item.given,
                f"{dataset.id} {item.group}" if size[item.group] > 1 else "",
            )
            for index, item in enumerate(dataset.items)
        ),
        skipped=dataset.skipped,
        notes=dataset.notes,
    )


def _joined(first: Gathered, second: Gathered, room: Path) -> Gathered:
    """Both at once; files outside ``room`` stay where they are."""
    before = len(first.found)
    return Gathered(
        root=room,
        title=first.title,
        found=(*_anchored(first, room), *_anchored(second, room)),
        placed=(*first.placed, *(replace(one, index=one.index + before) for one in second.placed)),
        skipped=(*first.skipped, *second.skipped),
        notes=(*first.notes, *second.notes),
    )


def _anchored(gathered: Gathered, room: Path) -> Sequence[Found]:
    if gathered.root == room:
        return gathered.found
    return [replace(one, file=str((gathered.root / one.file).absolute())) for one in gathered.found]


def _any_of(more: Gathered, built: Dataset, room: Path) -> bool:
    """Whether ``built`` holds any picture of ``more``."""
    files = [one.file for one in _anchored(more, room)]
    wanted = {files[one.index] for one in more.placed}
    return any(not wanted.isdisjoint(block["file"]) for block in built.held.blocks())


def _once(joined: Dataset, before: Dataset) -> Dataset:
    """``joined`` without what ``before`` has and what came twice; under another label, too, the first to come stays."""
    there = {item.sha: before.classes[item.label] for item in before.items}
    old = Counter((item.sha, before.root / item.file) for item in before.items)
    items: list[Item] = []
    skipped: list[Skipped] = []
    for item in joined.items:
        own = (item.sha, joined.root / item.file)
        if old[own] or item.sha not in there:
            old[own] = max(0, old[own] - 1)
            items.append(item)
            there.setdefault(item.sha, joined.classes[item.label])
        else:
            skipped.append(Skipped(item.name, f"It is there already, as {there[item.sha]!r}."))
    used = sorted({item.label for item in items})
    label = {old: new for new, old in enumerate(used)}
    group = {old: new for new, old in enumerate(dict.fromkeys(item.group for item in items))}
    return replace(
        joined,
        classes=tuple(joined.classes[old] for old in used),
        items=tuple(replace(item, label=label[item.label], group=group[item.group]) for item in items),
        skipped=(*joined.skipped, *skipped),
    )


def _revised(fresh: Dataset, before: Dataset, what: str, store: Store, change: str = "") -> Dataset:
    if fresh.id == before.id:
        return before
    count = len(fresh) - len(before)
    revised = replace(fresh, parent=before.id, change=change or f"{count} pictures added from {what!r}")
    revised.save(store)
    return revised
