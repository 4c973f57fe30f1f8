"""A dataset as a person sees it: figures, classes with pictures, the split in words, what was passed over."""

from __future__ import annotations

from collections import Counter

import numpy as np

from zoo.dataset import PARTS, Dataset, split
from zoo.look import Look
from zoo.pictures import Pictures
from zoo.ui import kit
from zoo.ui.data_more import report_html
from zoo.ui.kit import esc, plural
from zoo.ui.theme import HERE

EDIT = (HERE / "classes.js").read_text()
SHOWN_CLASSES = 24
SHOWN_PICTURES = 5
SHOWN_TWINS = 24
PURPOSES = {
    "train": "to learn from",
    "select": "to choose the best epoch by",
    "calibration": "to make its probabilities honest",
    "test": "seen once, at the end, for the figure you can quote",
}


def title_html(dataset: Dataset) -> str:
    """What it is called, and what was done to it last."""
    change = f'<span class="tz-change">{esc(dataset.change)}</span>' if dataset.change else ""
    return f'<h3 class="tz-title">{esc(dataset.title)}{change}</h3>'


def dataset_html(dataset: Dataset, pictures: Pictures, seen: Look) -> str:
    """Everything the overview says about ``dataset``."""
    twins = _twins(dataset)
    counts = list(dataset.counts.values())
    figures = [
        (f"{len(dataset):,}", "pictures"),
        (f"{len(dataset.classes):,}", "classes"),
        (f"{min(counts):,} – {max(counts):,}" if min(counts) < max(counts) else f"{min(counts):,}", "per class"),
        (f"{len(seen.findings):,}", "findings"),
        (f"{len(dataset.skipped):,}", "files passed over"),
    ]
    parts = [
        kit.tiles(figures),
        _health(tuple(one.sentence for one in seen.findings)),
        _classes(dataset, pictures),
        f'<div class="tz-two">{_split(dataset)}{_twins_html(dataset, twins, pictures)}</div>',
        report_html(dataset),
    ]
    return f'<div class="tz-stack">{"".join(parts)}</div>'


def _health(sentences: tuple[str, ...]) -> str:
    """What is worth knowing before anything is trained, the gravest first."""
    if not sentences:
        return kit.say("Nothing looks wrong with these pictures.", "good")
    return f'<div class="tz-stack tight">{"".join(kit.say(sentence, "wait") for sentence in sentences)}</div>'


def _classes(dataset: Dataset, pictures: Pictures) -> str:
    """A card for each class, with a few of its pictures and what can be done with it."""
    names = list(dataset.classes)
    cards = [_card(dataset, pictures, label) for label in range(min(len(names), SHOWN_CLASSES))]
    rest = len(names) - SHOWN_CLASSES
    more = ""
    if rest > 0:
        plain = "".join(_card(dataset, None, label) for label in range(SHOWN_CLASSES, len(names)))
        more = f"<details><summary>and {plural(rest, 'more class')}</summary>{_cards(dataset, plain)}</details>"
    return _cards(dataset, "".join(cards)) + more


def _cards(dataset: Dataset, cards: str) -> str:
    return f'<div class="tz-classes" data-dataset="{dataset.id}">{cards}</div>'


def _card(dataset: Dataset, pictures: Pictures | None, label: int) -> str:
    name, count, most = dataset.classes[label], dataset.counts[dataset.classes[label]], max(dataset.counts.values())
    strip = ""
    if pictures is not None:
        members = np.flatnonzero(dataset.y == label)
        shown = members[np.linspace(0, len(members) - 1, min(SHOWN_PICTURES, len(members))).astype(int)]
        strip = kit.thumbnails(pictures, shown, [dataset.items[i].name for i in shown])
    return (
        f'<div class="tz-class" data-class="{esc(name)}"><div><b>{kit.own(name)}</b><span>{count:,}'
        f'<button type="button" data-edit="open" aria-expanded="false" aria-label="Edit the class {esc(name)}">Edit'
        f'</button></span></div><div class="tz-meter"><i style="width:{100 * count / most:.0f}%"></i></div>'
        f'<div class="tz-class-edit" hidden><input type="text" maxlength="100" value="{esc(name)}" '
        f'aria-label="Name of the class {esc(name)}"><button type="button" data-edit="name" disabled>Rename</button>'
        f'<button type="button" data-edit="leave">Leave out</button></div>{strip}</div>'
    )


def _split(dataset: Dataset) -> str:
    parts = split(dataset)
    sizes = {part: len(parts.of(part)) for part in PARTS}
    segments = "".join(
        f'<i class="tz-c{number}" style="flex:{size} 1 0"></i>' for number, size in enumerate(sizes.values(), 1) if size
    )
    rows = "".join(
        f'<li class="tz-c{number}"><b>{size:,}</b> {esc(PURPOSES[part])}</li>'
        for number, (part, size) in enumerate(sizes.items(), 1)
    )
    given = "Your own train, val and test folders are kept." if any(item.given for item in dataset.items) else ""
    note = f"Classes keep their shares, and lookalikes are never parted. {given}"
    return kit.panel(
        "How they are shared out",
        f'<div class="tz-split" aria-hidden="true">{segments}</div><ul class="tz-key">{rows}</ul>',
        note.strip(),
    )


def _twins(dataset: Dataset) -> list[list[int]]:
    """Groups of two or more pictures that are the same to the byte or to the eye, the largest first."""
    repeated = {group for group, size in Counter(dataset.groups.tolist()).items() if size > 1}
    members: dict[int, list[int]] = {}
    for index, group in enumerate(dataset.groups.tolist()):
        if group in repeated:
            members.setdefault(group, []).append(index)
    return sorted(members.values(), key=len, reverse=True)


def _twins_html(dataset: Dataset, twins: list[list[int]], pictures: Pictures) -> str:
    if not twins:
        return kit.panel(
            "Lookalikes",
            kit.say("No picture is there twice.", "good"),
            "The same picture on both sides flatters a test.",
        )
    cells = []
    for group in twins[:SHOWN_TWINS]:
        names = ", ".join(dataset.items[index].name for index in group[:6])
        shown = "".join(
            f'<img src="{kit.thumbnail(pictures, index)}" alt="{esc(dataset.items[index].name)}">'
            for index in group[:2]
        )
        clash = len({dataset.items[index].label for index in group}) > 1
        told = "two labels" if clash else f"{len(group)} alike" if len(group) > 2 else ""
        more = f"<small>{told}</small>" if told else ""
        cells.append(f'<div class="{"clash" if clash else ""}" title="{esc(names)}">{shown}{more}</div>')
    note = "The same picture twice would flatter the test, so each group stays on one side of the split."
    return kit.panel("Lookalikes", f'<div class="tz-pairs" tabindex="0">{"".join(cells)}</div>', note)
