"""The catalog on the Compare screen: backbones searched, filtered, and ticked to be compared."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from zoo.compare import EMBEDDED
from zoo.errors import BackboneUnavailable
from zoo.reporting import weights
from zoo.settings import Settings, child_environment
from zoo.sources import sources
from zoo.ui.kit import QUIET, percent, spoken

ANY = "any"
ROOT = Path(__file__).resolve().parents[2]
SEARCHING = 90  # seconds that a search of whole registries may take
BASELINE = "pixels/"

Row = dict[str, Any]  # as ``Card.as_row`` gives it


@dataclass(frozen=True)
class Form:
    """What is ticked, and the ids that a person added by hand or by a search."""

    chosen: gr.CheckboxGroup

    @classmethod
    def place(cls, settings: Settings) -> Form:
        """Lay it out and wire it."""
        known = catalog(settings)
        chosen = gr.CheckboxGroup(
            choices([row for row in known if row["ready"] == "embedded"], EMBEDDED),
            value=list(EMBEDDED),
            label="Backbones",
            info="Name, side of its picture, weights, work, ImageNet accuracy, licence. "
            "A baseline without any network is measured, too.",
            elem_classes="tz-choices tz-catalog",
        )
        with gr.Accordion("Find more backbones", open=False):
            with gr.Row():
                search = gr.Textbox(label="Search", placeholder="name or family", min_width=180, scale=2)
                family = gr.Dropdown(_kinds(known, "family"), value=ANY, label="Family", min_width=130)
                licence = gr.Dropdown(_kinds(known, "licence"), value=ANY, label="Licence", min_width=130)
            with gr.Row():
                size = gr.Dropdown(_upto(5, 10, 30, 100), value=0, label="Weights up to", min_width=110)
                work = gr.Dropdown(_upto(0.5, 1, 5, 20), value=0, label="GMACs up to", min_width=110)
                imagenet = gr.Dropdown(
                    [(ANY, 0), *((f"{one} %", one / 100) for one in (70, 75, 80))],
                    value=0,
                    label="ImageNet at least",
                    min_width=110,
                )
                ready = gr.Checkbox(True, label="Here already", info="no download", min_width=120)
                commercial = gr.Checkbox(False, label="Commercial use", info="allowed for sure", min_width=120)
            with gr.Row(elem_classes="tz-path"):
                more = gr.Textbox(
                    label="Id, or a word to look for in whole registries",
                    info="source/name, as timm and the Hub know it. Weights are fetched when it is compared.",
                    placeholder="timm/resnet18.a1_in1k, or: convnext",
                    scale=4,
                    min_width=200,
                )
                add = gr.Button("Add", scale=1, min_width=90)
        found = gr.State([])
        filters: list[Any] = [search, family, licence, size, work, imagenet, ready, commercial]

        def narrow(ticked: list[str], added: list[Row], *values: Any) -> Any:
            rows = [row for row in (*catalog(settings), *added) if "family" in row and admitted(row, *values)]
            return gr.CheckboxGroup(choices(_once([*rows, *_of(ticked, settings, added)]), ticked), value=ticked)

        @spoken()
        def append(text: str, ticked: list[str], added: list[Row]) -> tuple[Any, ...]:
            one = text.strip()
            new = [_named(one)] if "/" in one else searched(one, settings)
            added = _once([*added, *new])
            ticked = [*ticked, one] if "/" in one and one not in ticked else ticked
            shown = _once([*_of(ticked, settings, added), *new])
            return gr.CheckboxGroup(choices(shown, ticked), value=ticked), added, ""

        gr.on([one.change for one in filters], narrow, [chosen, found, *filters], chosen, **QUIET)
        searching: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": add}
        gr.on([add.click, more.submit], append, [more, chosen, found], [chosen, found, more], **searching)
        return cls(chosen)


def catalog(settings: Settings) -> list[Row]:
    """The cards that are suggested or lie on this disk; nothing that would have to be loaded for its facts."""
    return [
        card.as_row() for source in sources().values() for card in source.cards(settings) if card.source != "pixels"
    ]


def admitted(
    row: Row,
    search: str = "",
    family: str = ANY,
    licence: str = ANY,
    size: float = 0,
    work: float = 0,
    imagenet: float = 0,
    ready: bool = False,
    commercial: bool = False,
) -> bool:
    """Whether a person wants to see it; what a card does not say is no match."""
    return all(
        (
            search.strip().lower() in f"{row['id']} {row['family']}".lower(),
            family in (ANY, row["family"]),
            licence in (ANY, row["licence"]),
            not size or row["params"] <= size,
            not work or row["gmacs"] <= work,
            not imagenet or (row["imagenet_top1"] or 0) >= imagenet,
            not ready or row["ready"] != "download",
            not commercial or row["commercial"] is True,
        )
    )


def choices(rows: Sequence[Row], ticked: Sequence[str]) -> list[tuple[str, str]]:
    """(label, id), the ticked ones first."""
    return [(label(row), row["id"]) for row in sorted(rows, key=lambda row: row["id"] not in ticked)]


def label(row: Row) -> str:
    """A backbone in a line."""
    source, _, name = row["id"].partition("/")
    if "family" not in row or not row.get("params"):
        return str(row["id"])
    facts = [
        name.removeprefix("tf_") if source == "embedded" else row["id"],
        f"{row['image_size']} px",
        weights(row["params"]),
        f"{row['gmacs']:.1f} GMACs",
        percent(row["imagenet_top1"], 0) if row["imagenet_top1"] else "",
        str(row["licence"]) + {True: "", False: ", not commercial", None: ", check it"}[row["commercial"]],
        _download(row),
    ]
    return " · ".join(fact for fact in facts if fact)


def searched(word: str, settings: Settings) -> list[Row]:
    """What whole registries have of ``word``: asked in a process of its own, because it takes torch.

    Raises:
        BackboneUnavailable: nothing is found, or not in time.
    """
    if len(word) < 2:
        raise BackboneUnavailable("That is no id and too short a word.", "Write source/name, or part of a name.")
    command = [sys.executable, "-m", "zoo", "list", "--json", f"--search={word[:80]}", "--home", str(settings.home)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=child_environment(), timeout=SEARCHING, check=True
        )
        rows: list[Row] = [row for row in json.loads(done.stdout) if not row["id"].startswith(BASELINE)]
    except (subprocess.SubprocessError, ValueError):
        raise BackboneUnavailable("The registries did not answer.", "Try again, or write the id itself.") from None
    if not rows:
        raise BackboneUnavailable(f"No backbone is called anything like {word[:80]!r}.", "Try a shorter word.")
    return rows


def _named(one: str) -> Row:
    """A row for an id that a person wrote; its facts come once it is compared."""
    source, slash, name = one.partition("/")
    if not (slash and name and source in sources()) or len(one) > 200 or source == "pixels":
        names = ", ".join(name for name in sources() if name != "pixels")
        raise BackboneUnavailable(
            f"{one[:80]!r} is not a backbone’s id.", f"Write source/name, with a source of: {names}."
        )
    return {"id": one}


def _of(ticked: Sequence[str], settings: Settings, added: Sequence[Row]) -> list[Row]:
    """The rows of what is ticked, whatever the filters say: a tick never hides."""
    known = {row["id"]: row for row in (*added, *catalog(settings))}
    return [known.get(one, {"id": one}) for one in ticked]


def _once(rows: Sequence[Row]) -> list[Row]:
    return list({row["id"]: row for row in reversed(rows)}.values())[::-1]


def _kinds(rows: Sequence[Row], key: str) -> list[str]:
    return [ANY, *sorted({str(row[key]) for row in rows}, key=str.lower)]


def _upto(*steps: float) -> list[tuple[str, float]]:
    return [(ANY, 0), *((f"{step:g}", step) for step in steps)]


def _download(row: Row) -> str:
    if row["ready"] != "download":
        return "" if row["ready"] == "embedded" else "on this disk"
    size = row.get("download_mb")
    return f"download {size:.0f} MB" if size else "download"
