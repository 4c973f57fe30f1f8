"""Pieces every screen shares: words made safe, one browser's seat, the heading, strips of pictures, what is next."""

from __future__ import annotations

import base64
import html
import io
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import gradio as gr

from zoo.backbone import Picture
from zoo.errors import StudioError
from zoo.pictures import Pictures
from zoo.ui.theme import MARK

LIVE = ("$", "{", "}", "\\", "`")  # Gradio evaluates a gr.HTML value once more as a JavaScript template
CLICKED = """element.addEventListener('click', event => {
  const chosen = event.target.closest('[data-choice]');
  if (chosen && !chosen.disabled) trigger('click', {choice: chosen.dataset.choice});
})"""
REMEMBERED = 6000  # thumbnails, some 4 kB each
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
POLL: dict[str, Any] = {**QUIET, "concurrency_limit": None, "trigger_mode": "once"}


def esc(text: object) -> str:
    """``text`` as literal text inside ``gr.HTML``, also inside a quoted attribute."""
    safe = html.escape(str(text), quote=True)
    for character in LIVE:
        safe = safe.replace(character, f"&#{ord(character)};")
    return safe


def own(text: object) -> str:
    """As ``esc``, for a person's own words (a class, a file, a note), which no language of the page changes."""
    return f'<bdi translate="no">{esc(text)}</bdi>'


@dataclass(frozen=True, kw_only=True)
class Seat:
    """What one browser remembers across reloads: ids only, because a browser's memory can be forged."""

    step: gr.BrowserState
    dataset: gr.BrowserState
    comparison: gr.BrowserState
    run: gr.BrowserState

    @classmethod
    def take(cls) -> Seat:
        """A seat whose memory is fresh; call it inside the page."""
        return cls(
            step=remembered("step", "data"),
            dataset=remembered("dataset", ""),
            comparison=remembered("comparison", ""),
            run=remembered("run", ""),
        )


def remembered(key: str, default: str) -> gr.BrowserState:
    # A fixed key and secret, so that the memory outlives a restart of the page. Nothing secret is kept in it.
    return gr.BrowserState(default, storage_key=f"transfer-zoo-{key}", secret="ids-only")  # noqa: S106


@contextmanager
def spoken() -> Iterator[None]:
    """Turns what a person can act on into a toast with its two sentences; also usable as a decorator."""
    try:
        yield
    except StudioError as error:
        raise gr.Error(esc(error), title="That did not work", duration=12, print_exception=False) from None


def chosen(event: gr.EventData) -> str:
    """The ``data-choice`` that was clicked in a ``gr.HTML`` made with ``CLICKED``."""
    choice = (event._data or {}).get("choice")  # noqa: SLF001 - the only place where Gradio keeps it
    return choice if isinstance(choice, str) else ""


def let_overlap(page: gr.Blocks) -> None:
    """Let the functions that follow one and the same change run at once, instead of the last of each once more.

    Gradio's "always_last" sends the whole change again when one function that was busy is free, to all that follow it.
    Where several do, there is always one that is busy, and a page would ask for ever.
    """
    followers = Counter(target for function in page.fns.values() for target in set(function.targets))
    for function in page.fns.values():
        if function.trigger_mode == "always_last" and any(followers[target] > 1 for target in function.targets):
            function.trigger_mode = "multiple"


def languages() -> str:
    """The switch of the page's language, which ``language.js`` answers to."""
    choices = "".join(
        f'<button type="button" data-language="{code}" lang="{code}" aria-pressed="false">{name}</button>'
        for code, name in (("en", "English"), ("ko", "한국어"))
    )
    return f'<div class="tz-language" role="group" translate="no" aria-label="Language · 언어">{choices}</div>'


SAID = "Drop in pictures, see which pretrained network fits them, and leave with a classifier you can trust."


def masthead() -> str:
    return (
        '<a class="tz-skip" href="#screen-data" data-skip>Skip to the screen</a>'
        f'<header class="tz-mast">{MARK.read_text()}<div><h1>Transfer Zoo</h1>'
        f"<p>{SAID}</p>"
        '</div><a class="tz-guide" href="guide/data">Guide</a>'
        '<button type="button" class="tz-ask" data-tour="1" aria-label="Tour of the words">?</button>'
        f'{languages()}</header><p class="tz-sr" id="tz-told" role="status" translate="no"></p>'
    )


def stepper(current: str, steps: Iterable[tuple[str, str, str, bool]]) -> str:
    """The way through the studio.

    Args:
        current: key of the open step.
        steps: for each its key, name, what stands there now, and whether it is done.
    """
    rows = []
    for number, (key, name, now, done) in enumerate(steps, 1):
        here = ' aria-current="step"' if key == current else ""
        mark = '<span class="tz-sr">done</span>' if done else ""
        rows.append(
            f'<li><button type="button" data-choice="{esc(key)}" class="{"done" if done else ""}"{here}>'
            f'<span class="tz-num" aria-hidden="true">{"✓" if done else number}</span>'
            f"<span><b>{esc(name)}</b><small>{esc(now)}</small>{mark}</span></button></li>"
        )
    return f'<nav class="tz-steps" aria-label="Steps"><ol>{"".join(rows)}</ol></nav>'


def heading(title: str, teaching: str) -> str:
    return f'<div class="tz-head"><h2>{esc(title)}</h2><p>{esc(teaching)}</p></div>'


def panel(title: str, body: str, note: str = "", *, wide: bool = False) -> str:
    """A titled card; ``body`` is HTML already made safe."""
    under = f'<p class="tz-note">{esc(note)}</p>' if note else ""
    return f'<section class="tz-panel{" tz-wide" if wide else ""}"><h3>{esc(title)}</h3>{under}{body}</section>'


def tiles(values: Iterable[tuple[str, str]]) -> str:
    """Figures with their names below, in a row."""
    cells = "".join(f"<div><dt>{esc(name)}</dt><dd>{esc(figure)}</dd></div>" for figure, name in values)
    return f'<dl class="tz-tiles">{cells}</dl>'


def lesson(word: str, text: str) -> str:
    """A term explained where it appears."""
    return f'<p class="tz-lesson"><b>{esc(word)}</b> {esc(text)}</p>'


def say(text: str, tone: str = "plain") -> str:
    """One sentence in a box; ``tone`` is "plain", "good", "wait" or "bad"."""
    return f'<p class="tz-say {esc(tone)}" role="status">{esc(text)}</p>'


def looking(text: str) -> str:
    """As ``say``, of what is on its way."""
    return f'<p class="tz-say tz-looking" role="status">{esc(text)}</p>'


def next_words(text: str) -> str:
    """A sentence beside a button, without a box."""
    return f'<p class="tz-beside">{esc(text)}</p>'


def bar(share: float, text: str) -> str:
    """Progress, 0…1, with what is being done."""
    percent = round(100 * min(max(share, 0), 1))
    return (
        f'<div class="tz-progress"><div class="tz-track" role="progressbar" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}" aria-label="{esc(text)}"><i style="width:{percent}%"></i></div>'
        f"<span>{esc(text)}</span></div>"
    )


def image(picture: Picture, side: int = 112) -> str:
    """``picture`` as a data address, its longer side ``side`` pixels: no file of a person's is ever served."""
    from PIL import Image

    small = Image.fromarray(picture)
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "webp", quality=78)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


_small: OrderedDict[tuple[str, int], str] = OrderedDict()


def thumbnail(pictures: Pictures, index: int, side: int = 112) -> str:
    """``image`` of one of a dataset's pictures, made once: the last few thousand are remembered."""
    key = pictures.shas[index], side
    if key not in _small:
        _small[key] = image(pictures[index], side)
        while len(_small) > REMEMBERED:
            with suppress(KeyError):  # another visitor was faster
                _small.popitem(last=False)
    return _small.get(key) or image(pictures[index], side)


def thumbnails(pictures: Pictures, indices: Iterable[int], names: Sequence[str]) -> str:
    """As ``strip``, of a dataset's pictures."""
    cells = (
        f'<img src="{thumbnail(pictures, int(index))}" alt="{esc(name)}" title="{esc(name)}">'
        for index, name in zip(indices, names, strict=True)
    )
    return f'<div class="tz-strip" translate="no">{"".join(cells)}</div>'


def strip(pictures: Sequence[Picture], names: Sequence[str], side: int = 112) -> str:
    """Small pictures side by side, each named for those who cannot see it."""
    cells = (
        f'<img src="{image(picture, side)}" alt="{esc(name)}" title="{esc(name)}">'
        for picture, name in zip(pictures, names, strict=True)
    )
    return f'<div class="tz-strip" translate="no">{"".join(cells)}</div>'


def buttons(pictures: Sequence[Picture], names: Sequence[str], choices: Sequence[str]) -> str:
    """As ``strip``, but each picture can be chosen."""
    cells = (
        f'<button type="button" data-choice="{esc(choice)}" aria-label="{esc(name)}" title="{esc(name)}">'
        f'<img src="{image(picture)}" alt=""></button>'
        for picture, name, choice in zip(pictures, names, choices, strict=True)
    )
    return f'<div class="tz-strip tz-pick">{"".join(cells)}</div>'


@dataclass(frozen=True)
class Next:
    """What to do next, in sight at the foot of every screen: a sentence and the buttons that go with it."""

    sentence: gr.HTML
    buttons: dict[str, gr.Button]

    @classmethod
    def place(cls, sentence: str, shown: str = "", **labels: str) -> Next:
        """Lay it out; ``labels`` name the buttons by key, the first of them ``shown`` at the start.

        A label that starts with ``~`` is a quieter, secondary button.
        """
        with gr.Row(elem_classes="tz-next", equal_height=True):
            text = gr.HTML(next_html(sentence), elem_classes="tz-next-text")
            buttons = {
                key: gr.Button(
                    label.removeprefix("~"),
                    variant="secondary" if label.startswith("~") else "primary",
                    visible=key == shown,
                    scale=0,
                    min_width=130,
                )
                for key, label in labels.items()
            }
        return cls(text, buttons)

    @property
    def parts(self) -> list[Any]:
        """The components that ``now`` updates, in its order."""
        return [self.sentence, *self.buttons.values()]

    def now(self, sentence: str, *shown: str) -> list[Any]:
        """Updates that leave ``sentence`` and the buttons ``shown``."""
        return [next_html(sentence), *(gr.update(visible=key in shown) for key in self.buttons)]


def next_html(sentence: str) -> str:
    return f"<p><b>Next</b> {esc(sentence)}</p>"


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def between(interval: Sequence[float]) -> str:
    return f"{100 * interval[0]:.1f} – {100 * interval[1]:.1f} %"


def duration(seconds: float) -> str:
    """Rounded as a person would say it."""
    if seconds < 1:
        return "under a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def plural(count: int, noun: str) -> str:
    ending = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun if count == 1 else noun + ending}"
