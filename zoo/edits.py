"""A dataset edited into the next one: relabel, remove, move, group, rename, merge. Undo goes to ``parent``.

Pure: a dataset in, another out, which knows what it was edited from and how. A class left without pictures goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from zoo.dataset import GIVEN, Dataset, Item
from zoo.errors import BadUpload
from zoo.names import clean

LONGEST = 100


def relabel(dataset: Dataset, indices: Collection[int], label: str) -> Dataset:
    """``dataset`` with the pictures at ``indices`` in the class ``label``, which may be a new one."""
    name = _name(label)
    classes = dataset.classes if name in dataset.classes else (*dataset.classes, name)
    number, chosen = classes.index(name), _checked(dataset, indices)
    items = [replace(item, label=number) if i in chosen else item for i, item in enumerate(dataset.items)]
    return _next(dataset, classes, items, f"{_pictures(chosen)} relabelled as {name}.")


def relabel_each(dataset: Dataset, labels: dict[int, int]) -> Dataset:
    """``dataset`` with each picture of ``labels`` in the class of that number."""
    chosen = _checked(dataset, labels)
    if any(not 0 <= label < len(dataset.classes) for label in labels.values()):
        raise BadUpload("There is no such class.", "Load the page again.")
    items = [replace(item, label=labels.get(i, item.label)) for i, item in enumerate(dataset.items)]
    return _next(dataset, dataset.classes, items, f"{_pictures(chosen)} relabelled.")


def remove(dataset: Dataset, indices: Collection[int]) -> Dataset:
    """``dataset`` without the pictures at ``indices``.

    Raises:
        BadUpload: fewer than two classes would be left.
    """
    chosen = _checked(dataset, indices)
    items = [item for i, item in enumerate(dataset.items) if i not in chosen]
    return _next(dataset, dataset.classes, items, f"{_pictures(chosen)} removed.")


def move(dataset: Dataset, indices: Collection[int], part: str) -> Dataset:
    """``dataset`` with the pictures at ``indices`` given to ``part``: train, val, test, or "" for the split to choose.

    What belongs to one group moves together, because no split parts it.
    """
    if part not in GIVEN:
        raise BadUpload(f"There is no part {clean(part)!r}.", f"Choose from {', '.join(GIVEN[1:])}.")
    groups = {dataset.items[i].group for i in _checked(dataset, indices)}
    chosen = {i for i, item in enumerate(dataset.items) if item.group in groups}
    items = [replace(item, given=part) if i in chosen else item for i, item in enumerate(dataset.items)]
    where = f"moved to {part}" if part else "left to the split"
    return _next(dataset, dataset.classes, items, f"{_pictures(chosen)} {where}.")


def rename_class(dataset: Dataset, old: str, new: str) -> Dataset:
    """``dataset`` with its class ``old`` called ``new``, which no other class may be called."""
    name, number = _name(new), _class(dataset, old)
    if name != old and name in dataset.classes:
        raise BadUpload(f"There is a class {name!r} already.", "Merge the two classes instead.")
    classes = tuple(name if i == number else one for i, one in enumerate(dataset.classes))
    return _next(dataset, classes, dataset.items, f"Class {old} renamed to {name}.")


def merge_classes(dataset: Dataset, old: str, into: str) -> Dataset:
    """``dataset`` with the pictures of class ``old`` in ``into``."""
    from_number, number = _class(dataset, old), _class(dataset, into)
    items = [replace(item, label=number) if item.label == from_number else item for item in dataset.items]
    return _next(dataset, dataset.classes, items, f"Class {old} merged into {into}.")


def call_class(dataset: Dataset, old: str, new: str) -> Dataset:
    """``dataset`` with its class ``old`` called ``new``: merged into the class of that name where there is one."""
    name = _name(new)
    return (merge_classes if name != old and name in dataset.classes else rename_class)(dataset, old, name)


def leave_out_class(dataset: Dataset, name: str) -> Dataset:
    """``dataset`` without the class ``name`` and its pictures."""
    number = _class(dataset, name)
    items = [item for item in dataset.items if item.label != number]
    return _next(dataset, dataset.classes, items, f"Class {name} left out.")


def group(dataset: Dataset, groups: Sequence[Sequence[int]]) -> Dataset:
    """``dataset`` with the pictures of each of ``groups`` in one group, which no split parts."""
    _checked(dataset, [i for several in groups for i in several])
    joined: dict[int, int] = {}

    def first(number: int) -> int:
        while joined.get(number, number) != number:
            number = joined[number]
        return number

    for several in groups:
        known = sorted({first(dataset.items[i].group) for i in several})
        joined |= dict.fromkeys(known, known[0])
    items = [replace(item, group=first(item.group)) for item in dataset.items]
    count = len({i for several in groups for i in several})
    return _next(dataset, dataset.classes, items, f"{count:,} pictures kept together where they look alike.")


def _next(dataset: Dataset, classes: tuple[str, ...], items: Iterable[Item], change: str) -> Dataset:
    """The next revision, classes without pictures dropped; ``dataset`` itself where nothing changed."""
    kept = tuple(items)
    used = sorted({item.label for item in kept})
    if len(used) < 2:
        raise BadUpload("Fewer than two classes would be left.", "Keep pictures of two classes at least.")
    if len(used) < len(classes):
        number = {label: i for i, label in enumerate(used)}
        kept = tuple(replace(item, label=number[item.label]) for item in kept)
    named = tuple(classes[label] for label in used)
    if kept == dataset.items and named == dataset.classes:
        return dataset
    return replace(dataset, classes=named, items=kept, parent=dataset.id, change=change)


def _checked(dataset: Dataset, indices: Iterable[int]) -> set[int]:
    chosen = set(indices)
    if not chosen or not all(0 <= index < len(dataset) for index in chosen):
        raise BadUpload("No such picture is in the dataset.", "Choose pictures first.")
    return chosen


def _class(dataset: Dataset, name: str) -> int:
    if name not in dataset.classes:
        raise BadUpload(f"There is no class {clean(name)!r}.", "Choose one that is there.")
    return dataset.classes.index(name)


def _name(label: str) -> str:
    name = clean(label.strip(), LONGEST)
    if not name:
        raise BadUpload("A class needs a name.", "Type one.")
    return name


def _pictures(chosen: Collection[int]) -> str:
    return "1 picture" if len(chosen) == 1 else f"{len(chosen):,} pictures"
