"""What a person may want to change in a dataset: each finding with the pictures it is about and a fix to offer.

Pure: what was measured comes in, findings go out, the gravest first. Nothing here needs pixels or a backbone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from zoo.dataset import Dataset
from zoo.finding import GRAVITY, Finding, Fix, Group, count, named
from zoo.shortcuts import Shortcut
from zoo.suspects import Suspect

FEW = 10  # pictures a class, below which nothing can be said of it
UNEVEN = 10  # times more pictures in the largest class than in the smallest
TINY = 32  # pixels of a shorter side that show hardly anything
LONG = 3.0  # times as long as wide
FAR = 16  # times more, or fewer, pixels than the middle picture
SHOWN = 4

COLOURS = {
    "CMYK": "CMYK, made for print",
    "P": "a palette of few colours",
    "PA": "a palette of few colours",
    "RGBA": "transparency, laid on white here",
    "LA": "transparency, laid on white here",
}


def findings(
    dataset: Dataset,
    *,
    copies: Sequence[Group] = (),
    shortcuts: Sequence[Shortcut] = (),
    suspects: Sequence[Suspect] = (),
    twins: Sequence[Group] = (),
    gray: NDArray[np.bool_] | None = None,
) -> tuple[Finding, ...]:
    """Everything worth a person's look, the gravest first.

    Args:
        copies: groups of two pictures or more that look the same.
        shortcuts, suspects, twins: as measured; empty where they were not.
        gray: (N,) whether a picture's pixels have no colour, however its file stores them.
    """
    found: list[Finding] = [
        *_leaks(dataset, copies),
        *_conflicts(dataset, copies),
        *_labels(dataset, suspects),
        *_shortcuts(dataset, shortcuts),
        *_corrupt(dataset),
        *_colours(dataset, gray),
        *_alike(dataset, twins),
        *_duplicates(dataset, copies),
        *_few(dataset),
        *_imbalance(dataset),
        *_sizes(dataset),
    ]
    return tuple(sorted(found, key=lambda one: GRAVITY[one.severity]))


def _leaks(dataset: Dataset, copies: Sequence[Group]) -> Iterator[Finding]:
    """Copies in two given split folders; the one furthest from training stays, so that test folders keep theirs.

    What only belongs together by name or time, and lies in two folders, is a leak or a numbering: for a person to tell.
    """
    given = [item.given for item in dataset.items]
    crowds = [crowd for crowd in copies if len({given[index] for index in crowd}) > 1]
    seen = {index for crowd in crowds for index in crowd}
    members: dict[int, list[int]] = {}
    for index, group in enumerate(dataset.groups.tolist()):
        members.setdefault(group, []).append(index)
    related = [tuple(m) for m in members.values() if len({given[i] for i in m}) > 1 and not seen & {*m}]
    if related:
        yield Finding(
            kind="leak",
            title="Perhaps related, in training and test",
            sentence=f"{count(len(related), 'group')} of pictures that may belong together, by name or time, "
            f"{'lies' if len(related) == 1 else 'lie'} in more than one split folder.",
            severity="low",
            groups=tuple(related),
        )
    if not crowds:
        return
    kept = [
        next(part for part in ("test", "val", "train", "") if part in {given[i] for i in crowd}) for crowd in crowds
    ]
    extra = tuple(i for crowd, part in zip(crowds, kept, strict=True) for i in crowd if given[i] != part)
    yield Finding(
        kind="leak",
        title="The same in training and test",
        sentence=f"{count(len(crowds), 'picture lies', 'pictures lie')} in more than one split folder: "
        "the test would be too easy.",
        severity="high",
        groups=tuple(crowds),
        fix=Fix("remove", f"Remove {count(len(extra), 'copy', 'copies')}, keep those in the test", extra),
    )


def _conflicts(dataset: Dataset, copies: Sequence[Group]) -> Iterator[Finding]:
    """A picture keeps the label that most of its copies have; where none leads, all of its copies are in doubt."""
    crowds = [group for group in copies if len(set(dataset.y[list(group)].tolist())) > 1]
    if not crowds:
        return
    doubtful: list[int] = []
    for crowd in crowds:
        votes = Counter(int(dataset.y[index]) for index in crowd).most_common(2)
        leader = votes[0][0] if votes[0][1] > votes[1][1] else -1
        doubtful += [index for index in crowd if dataset.y[index] != leader]
    yield Finding(
        kind="conflict",
        title="One picture, two labels",
        sentence=f"{count(len(crowds), 'picture lies', 'pictures lie')} under more than one label: "
        "no classifier can learn both.",
        severity="high",
        groups=tuple(crowds),
        fix=Fix("remove", f"Remove {count(len(doubtful), 'picture')} whose label is in doubt", tuple(doubtful)),
    )


def _duplicates(dataset: Dataset, copies: Sequence[Group]) -> Iterator[Finding]:
    crowds = [group for group in copies if len(set(dataset.y[list(group)].tolist())) == 1]
    if not crowds:
        return
    extra = tuple(index for crowd in crowds for index in crowd if index != _best(dataset, crowd))
    exact = sum(len({dataset.items[index].sha for index in crowd}) == 1 for crowd in crowds)
    yield Finding(
        kind="duplicate",
        title="The same picture again",
        sentence=f"{count(len(crowds), 'group')} of (nearly) the same picture"
        f"{f', {exact} to the byte' if exact else ''}; no split will part them.",
        severity="low",
        groups=tuple(crowds),
        fix=Fix("remove", f"Keep the largest of each, remove {count(len(extra), 'copy', 'copies')}", extra),
    )


def _alike(dataset: Dataset, twins: Sequence[Group]) -> Iterator[Finding]:
    """What two backbones take for one thing, as far as a split may part it."""
    crowds = [crowd for crowd in twins if len({dataset.items[index].group for index in crowd}) > 1]
    if crowds:
        pictures = tuple(index for crowd in crowds for index in crowd)
        yield Finding(
            kind="alike",
            title="May be the same thing",
            sentence=f"{count(len(crowds), 'group')} of pictures may show the same thing, as two backbones see them: "
            "parted by a split, they would make the test too easy.",
            severity="medium",
            groups=tuple(crowds),
            fix=Fix("group", f"Keep {count(len(pictures), 'picture')} together in every split", pictures),
        )


def _best(dataset: Dataset, crowd: Group) -> int:
    """The copy with most pixels, then with most bytes, then the first."""
    return max(crowd, key=lambda i: (dataset.items[i].width * dataset.items[i].height, dataset.items[i].length, -i))


def _labels(dataset: Dataset, suspects: Sequence[Suspect]) -> Iterator[Finding]:
    if not suspects:
        return
    first = suspects[0]
    yield Finding(
        kind="label",
        title="Labels in doubt",
        sentence=f"{count(len(suspects), 'label')} may be wrong, first {dataset.items[first.index].name}: "
        f"{dataset.classes[first.given]}, perhaps {dataset.classes[first.suggested]}.",
        severity="medium",
        groups=tuple((one.index,) for one in suspects),
        fix=Fix(
            "relabel",
            f"Relabel {count(len(suspects), 'picture')} as suggested",
            tuple(one.index for one in suspects),
            tuple(one.suggested for one in suspects),
        ),
    )


def _shortcuts(dataset: Dataset, shortcuts: Sequence[Shortcut]) -> Iterator[Finding]:
    for one in shortcuts:
        yield Finding(
            kind="shortcut",
            title=f"The {one.feature} gives the class away",
            sentence=f"The {one.feature} alone tells the class in {one.accuracy:.0%} of pictures (chance "
            f"{one.chance:.0%}): a classifier may learn that instead of the subject.",
            severity="medium",
            groups=_examples(dataset),
        )


def _examples(dataset: Dataset) -> tuple[Group, ...]:
    """The first pictures of each class, to be compared by eye."""
    return tuple(tuple(np.flatnonzero(dataset.y == label)[:SHOWN].tolist()) for label in range(len(dataset.classes)))[
        :SHOWN
    ]


def _corrupt(dataset: Dataset) -> Iterator[Finding]:
    files = tuple(one.path for one in dataset.skipped if one.corrupt)
    if files:
        yield Finding(
            kind="corrupt",
            title="Files that cannot be read",
            sentence=f"{count(len(files), 'file')} cannot be read as a picture and "
            f"{'was' if len(files) == 1 else 'were'} left out.",
            severity="medium",
            files=files,
        )


def _colours(dataset: Dataset, gray: NDArray[np.bool_] | None) -> Iterator[Finding]:
    """Colour spaces that are rare here, or that one class has and the others have not."""
    kinds = np.array([_colour(item.mode) for item in dataset.items])
    if gray is not None:
        kinds[gray & (kinds == "")] = "no colour"
    for kind in sorted({*kinds.tolist()} - {""}):
        has = kinds == kind
        share = np.bincount(dataset.y, weights=has, minlength=len(dataset.classes)) / np.bincount(dataset.y)
        typical = [dataset.classes[label] for label in np.flatnonzero(share >= 0.5)]
        told_apart = bool(typical) and len(typical) < len(share) and bool((np.sort(share[share < 0.5]) <= 0.1).all())
        pictures = tuple(np.flatnonzero(has).tolist())
        if told_apart and len(pictures) >= FEW // 2:
            where = f"most pictures of {named(typical)} and in hardly any other"
            yield Finding(
                kind="colour",
                title=f"Classes differ in their colours: {kind}",
                sentence=f"There is {kind} in {where}: a classifier may learn that instead of the subject.",
                severity="high",
                groups=(pictures,),
            )
        elif has.mean() < 0.2:
            yield Finding(
                kind="colour",
                title=f"Unusual colours: {kind}",
                sentence=f"There is {kind} in {count(len(pictures), 'picture')}; they were turned into RGB.",
                severity="low",
                groups=(pictures,),
                fix=Fix("remove", f"Remove {count(len(pictures), 'picture')}", pictures),
            )


def _colour(mode: str) -> str:
    if mode in ("L", "1", "I", "F") or mode.startswith("I;"):
        return "no colour"
    return COLOURS.get(mode, "")


def _few(dataset: Dataset) -> Iterator[Finding]:
    few = [label for label, size in enumerate(dataset.counts.values()) if size < FEW]
    if few:
        yield Finding(
            kind="few",
            title="Classes with few pictures",
            sentence=f"Fewer than {FEW} pictures in {named([dataset.classes[label] for label in few])}: add some.",
            severity="medium",
            groups=tuple(tuple(np.flatnonzero(dataset.y == label).tolist()) for label in few),
            fix=_without(dataset, few),
        )


def _without(dataset: Dataset, labels: list[int]) -> Fix:
    """Leaving the classes out, where two remain."""
    if len(dataset.classes) - len(labels) < 2:
        return Fix()
    pictures = tuple(np.flatnonzero(np.isin(dataset.y, labels)).tolist())
    return Fix("remove", f"Leave {count(len(labels), 'class', 'classes')} out", pictures)


def _imbalance(dataset: Dataset) -> Iterator[Finding]:
    sizes = {name: size for name, size in dataset.counts.items() if size}
    least, most = min(sizes, key=lambda name: sizes[name]), max(sizes, key=lambda name: sizes[name])
    if sizes[most] >= UNEVEN * sizes[least]:
        yield Finding(
            kind="imbalance",
            title="Classes of very different size",
            sentence=f"{most} has {sizes[most]:,} pictures and {least} {sizes[least]:,}: plain accuracy says little "
            f"about {least}; look at the balanced one.",
            severity="low",
        )


def _sizes(dataset: Dataset) -> Iterator[Finding]:
    """Pictures too small to show much, far from the others in size, or far longer than wide unlike the others."""
    size = np.array([(item.width, item.height) for item in dataset.items], dtype=float)
    known = size.min(axis=1) > 0
    if not known.any():
        return
    area = size.prod(axis=1)
    middle = float(np.median(area[known]))
    nearest = np.flatnonzero(known)[np.abs(area[known] - middle).argmin()]
    typical = f"{size[nearest, 0]:.0f} × {size[nearest, 1]:.0f}"
    long = np.abs(np.log(np.maximum(size[:, 0], 1) / np.maximum(size[:, 1], 1)))
    usual = float(np.median(long[known]))
    small = known & ((size.min(axis=1) < TINY) & (area < middle / 2) | (area < middle / FAR))
    cases = {
        "very small": small,
        "very large": known & (area > middle * FAR),
        "oddly shaped": known & (long > max(np.log(LONG), usual + np.log(2))) & ~small,
    }
    for what, which in cases.items():
        pictures = tuple(np.flatnonzero(which).tolist())
        if pictures:
            yield Finding(
                kind="size",
                title=f"Pictures {what}",
                sentence=f"{count(len(pictures), 'picture is', 'pictures are')} {what} beside the others: half of all "
                f"have fewer than {pixels(middle)}, about {typical}.",
                severity="low",
                groups=(pictures,),
                fix=Fix("remove", f"Remove {count(len(pictures), 'picture')}", pictures),
            )
    if float(np.median(size[known].min(axis=1))) < TINY:
        yield Finding(
            kind="size",
            title="All pictures are very small",
            sentence=f"Half of the pictures have a side below {TINY} pixels: backbones have learned from larger ones.",
            severity="low",
        )


def pixels(area: float) -> str:
    """So many pixels as a person says it: "28 thousand pixels"."""
    for size, name in ((1e6, "million"), (1e3, "thousand")):
        if area >= size:
            return f"{area / size:.{0 if area >= 10 * size else 1}f} {name} pixels"
    return f"{area:.0f} pixels"
