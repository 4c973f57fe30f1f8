"""The explorer as a person sees it: pictures in a grid that hands and keys can label, the probe's accuracy, the map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from zoo.dataset import Dataset
from zoo.pictures import Pictures
from zoo.ui import kit
from zoo.ui.explorer_desk import Judged
from zoo.ui.kit import between, esc, percent, plural
from zoo.ui.theme import HERE

PAGE = 60
DOTS = 1500
KEYS = "123456789abcdefghijklmnopqrstvwxyz"  # u undoes
EXPLORE = (HERE / "explorer.js").read_text()
MAP = (HERE / "explorer_map.js").read_text()


@dataclass
class Tray:
    """What one visitor has on the screen: files in a settled order, so that an edit does not shuffle them."""

    dataset: str = ""
    files: list[str] = field(default_factory=list)
    page: int = 0
    stamp: int = 0
    looked: int = 0
    mine: set[str] = field(default_factory=set)  # what edits made here came to

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.files) // PAGE))


def grid_html(dataset: Dataset, pictures: Pictures, judged: Judged | None, tray: Tray) -> str:
    """The page of ``tray`` that is open, with the tools to edit what is chosen on it."""
    at = {item.file: i for i, item in enumerate(dataset.items)}
    tray.page = min(max(0, tray.page), tray.pages - 1)
    shown = tray.files[tray.page * PAGE : (tray.page + 1) * PAGE]
    tiles = "".join(_tile(dataset, pictures, judged, at.get(file, -1), file) for file in shown)
    keys = dict(zip(KEYS, dataset.classes, strict=False))
    body = tiles or '<p class="tz-note">No picture is like that. Change what is shown above.</p>'
    return (
        f'<div class="tz-ex" data-stamp="{tray.stamp}" data-keys="{esc(json.dumps(keys))}">'
        f"{_tools(dataset, keys)}"
        f'<div class="tz-ex-grid" role="listbox" aria-multiselectable="true" aria-label="Pictures">{body}</div>'
        f"{_pager(tray)}</div>"
    )


def standing_html(dataset: Dataset, judged: Judged | None, before: float | None, said: str = "") -> str:
    """The probe's accuracy, how it moved, and what was done last."""
    if judged is None:
        return kit.say("Measure these pictures, and every edit will say what it is worth.", "wait")
    now = judged.standing
    moved = ""
    if before is not None:
        points = 100 * (now.accuracy - before)
        way = "no change" if abs(points) < 0.005 else f"{'+' if points > 0 else '−'}{abs(points):.2f} points"
        moved = f'<em class="{"up" if points > 0.005 else "down" if points < -0.005 else ""}">{way}</em>'
    wrong = int((judged.predicted != dataset.y).sum())
    by = "EfficientNet-Lite0’s features" if judged.measured else "coarse pixels alone, until they are measured"
    return (
        f'<div class="tz-stand" role="status" aria-live="polite"><div><b>{percent(now.accuracy)}</b>{moved}</div>'
        f"<p>of pictures are told right by a probe that has not seen them ({between(now.interval)}), from {by}. "
        f"{plural(wrong, 'picture')} told wrong.{f' <i>{esc(said)}</i>' if said else ''}</p></div>"
    )


def map_html(dataset: Dataset, pictures: Pictures, judged: Judged | None) -> str:
    """Pictures as dots, those alike near each other; the hardest carry a thumbnail that hovering or a tap shows."""
    if judged is None:
        return ""
    chosen = np.argsort(judged.margin)[:DOTS]
    low, high = judged.plane.min(axis=0), judged.plane.max(axis=0)
    place = (judged.plane - low) / np.where(high > low, high - low, 1)
    dots = "".join(_dot(dataset, pictures, judged, int(i), place[i], thumb=n < DOTS // 5) for n, i in enumerate(chosen))
    legend = "".join(
        f'<li style="--swatch:{_hue(label, len(dataset.classes))}" translate="no">{esc(name)}</li>'
        for label, name in enumerate(dataset.classes[:24])
    )
    note = "Those that look alike to the backbone lie close. A ring marks what the probe tells wrong."
    shown = f"The {DOTS:,} hardest pictures. " if len(dataset) > DOTS else ""
    drawn = f'<div class="tz-dots" role="img" aria-label="{esc(shown + note)}">{dots}<figure hidden></figure></div>'
    body = f'<ul class="tz-legend">{legend}</ul>{drawn}'
    return kit.panel("The map", body, shown + note)


def _tile(dataset: Dataset, pictures: Pictures, judged: Judged | None, i: int, file: str) -> str:
    if i < 0:
        return f'<button type="button" role="option" disabled class="gone" data-gone="{esc(file)}">removed</button>'
    item = dataset.items[i]
    label = dataset.classes[item.label]
    doubt = ""
    if judged is not None and judged.predicted[i] != item.label:
        doubt = f"<small>looks like {esc(dataset.classes[judged.predicted[i]])}</small>"
    given = f'<sup title="given part">{esc(item.given)}</sup>' if item.given else ""
    return (
        f'<button type="button" role="option" aria-selected="false" tabindex="-1" data-file="{esc(file)}" '
        f'class="{"doubt" if doubt else ""}" title="{esc(item.name)}" aria-label="{esc(f"{item.name}, {label}")}">'
        f'<img src="{kit.thumbnail(pictures, i)}" alt=""><b translate="no">{esc(label)}</b>{given}{doubt}</button>'
    )


def _tools(dataset: Dataset, keys: dict[str, str]) -> str:
    options = "".join(f'<option value="{esc(name)}" translate="no">{esc(name)}</option>' for name in dataset.classes)
    parts = "".join(
        f'<option value="{value}">{name}</option>'
        for value, name in (("train", "train"), ("val", "val"), ("test", "test"), ("", "let the split choose"))
    )
    named = "".join(f"<span><kbd>{key}</kbd> {kit.own(name)}</span>" for key, name in keys.items())
    return (
        '<div class="tz-ex-tools"><span class="tz-ex-count" aria-live="polite">Click or use the arrow keys to choose'
        f'</span><label>Label <select data-to="relabel">{options}</select></label>'
        '<button type="button" data-do="relabel">Relabel</button>'
        f'<label>Part <select data-to="move">{parts}</select></label><button type="button" data-do="move">Move</button>'
        '<button type="button" data-do="remove">Remove</button><button type="button" data-do="undo">Undo</button></div>'
        f'<div class="tz-ex-keys"><span><kbd>←↑↓→</kbd> go</span><span><kbd>Space</kbd> choose more</span>{named}'
        "<span><kbd>Del</kbd> remove</span><span><kbd>U</kbd> undo</span></div>"
    )


def _pager(tray: Tray) -> str:
    if tray.pages == 1:
        return ""
    back, on = ("disabled" if tray.page == 0 else "", "disabled" if tray.page == tray.pages - 1 else "")
    return (
        f'<div class="tz-ex-pager"><button type="button" data-page="{tray.page - 1}" {back}>Back</button>'
        f"<span>Page {tray.page + 1} of {tray.pages}, {len(tray.files):,} pictures</span>"
        f'<button type="button" data-page="{tray.page + 1}" {on}>Next</button></div>'
    )


def _dot(dataset: Dataset, pictures: Pictures, judged: Judged, i: int, place: Sequence[float], *, thumb: bool) -> str:
    item = dataset.items[i]
    wrong = judged.predicted[i] != item.label
    told = f"{dataset.classes[item.label]}" + (f", looks like {dataset.classes[judged.predicted[i]]}" if wrong else "")
    picture = f' data-src="{kit.thumbnail(pictures, i)}"' if thumb else ""
    return (
        f'<i tabindex="-1" class="{"wrong" if wrong else ""}" style="left:{100 * place[0]:.2f}%;'
        f'bottom:{100 * place[1]:.2f}%;--swatch:{_hue(item.label, len(dataset.classes))}" '
        f'data-told="{esc(told)}"{picture}></i>'
    )


def _hue(label: int, classes: int) -> str:
    return f"hsl({(150 + 360 * label / max(classes, 1)) % 360:.0f} 48% 48%)"
