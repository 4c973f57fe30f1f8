"""An answer as a person reads it: the label, how sure, what else it could be, whether it knows such pictures at all."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from trainer.asking import MOST, Row, as_csv
from trainer.prediction import Prediction
from zoo.backbone import Picture
from zoo.ui import kit
from zoo.ui.kit import esc, image, percent, plural

SHOWN = 5
IN_SET = 8  # names of a set that are written out
EMPTY = kit.say("Drop, paste or photograph a picture, or choose one from the test part: the answer appears here.")
SORTED = """element.addEventListener('click', event => {
  const head = event.target.closest('th button');
  if (!head) return;
  const cell = head.parentElement, table = head.closest('table'), place = [...cell.parentElement.children].indexOf(cell);
  const up = cell.getAttribute('aria-sort') !== 'ascending';
  cell.parentElement.querySelectorAll('th').forEach(one => one.removeAttribute('aria-sort'));
  cell.setAttribute('aria-sort', up ? 'ascending' : 'descending');
  const key = row => row.children[place].dataset.sort ?? row.children[place].textContent;
  const rows = [...table.tBodies[0].rows].sort((a, b) => (up ? 1 : -1) * key(a).localeCompare(key(b), undefined, { numeric: true }));
  table.tBodies[0].append(...rows);
})"""  # noqa: E501 - one line of the browser's


def answer_html(picture: Picture, answer: Prediction, miss: float | None = None, truth: str = "") -> str:
    """One picture with its answer.

    Args:
        miss: how often the answer's set may lack the truth; None where calibration was too small to promise anything.
        truth: its label, where that is known.
    """
    shown = f'<img src="{image(picture, 264)}" alt="the picture asked about">'
    return f'<article class="tz-answer">{shown}<div>{spoken_html(answer, miss, truth)}</div></article>'


def spoken_html(answer: Prediction, miss: float | None, truth: str = "") -> str:
    """The answer without its picture: "I don't know this" first, where that is the answer."""
    took = f"{max(1, round(1000 * answer.seconds))} ms"
    if answer.unknown:
        far = f"{answer.novelty:.1f} times" if answer.novelty and answer.novelty < 100 else "over 100 times"
        head = (
            f'<h3 class="tz-unknown">I don’t know this{_badge(truth and f"it is {truth}")}</h3>'
            f"<p>It is {far} as unlike what training showed as the limit allows. Made to choose, the answer would be "
            f"{esc(answer.label)} ({percent(answer.probability)}): do not rely on it. {took}</p>"
        )
        return f'{head}<div class="tz-unsure">{_bars(answer)}</div>'
    head = f"<h3>{kit.own(answer.label)}{_verdict(answer, truth)}</h3>"
    return f"{head}<p>{percent(answer.probability)} sure · {took}</p>{_set(answer, miss)}{_bars(answer)}"


def live_html(answer: Prediction, miss: float | None) -> str:
    """What is said of the frame a moment ago."""
    return f'<div class="tz-answer tz-now"><div>{spoken_html(answer, miss)}</div></div>'


def _set(answer: Prediction, miss: float | None) -> str:
    if miss is None:
        return ""
    names = answer.set[:IN_SET]
    more = f" <span>and {len(answer.set) - IN_SET} more</span>" if len(answer.set) > IN_SET else ""
    chips = "".join(f"<span>{kit.own(name)}</span>" for name in names)
    promise = f"holds the truth in at least {percent(1 - miss, 0)} of pictures like those it was calibrated on"
    word = "Certain enough to name one" if len(answer.set) == 1 else "One of"
    return f'<p class="tz-set"><b>{word}:</b> {chips}{more} <small>{promise}</small></p>'


def _bars(answer: Prediction) -> str:
    bars = "".join(
        f'<li><span translate="no" title="{esc(label)}">{esc(label)}</span>'
        f'<div><i style="width:{100 * share:.1f}%"></i></div><span>{percent(share)}</span></li>'
        for label, share in answer.top[:SHOWN]
    )
    return f'<ul class="tz-bars">{bars}</ul>'


def _verdict(answer: Prediction, truth: str) -> str:
    if not truth:
        return ""
    return '<span class="tz-badge">right</span>' if truth == answer.label else _badge(f"it is {truth}")


def _badge(words: str) -> str:
    return f'<span class="tz-badge bad">{esc(words)}</span>' if words else ""


def rows_html(rows: Sequence[Row], more: int, miss: float | None) -> str:
    """Many answers as a table to sort, what could not be read below it, and everything as CSV."""
    good = [row for row in rows if row.answer is not None]
    heads = ("", "File", "Answer", "Sure", "Set", "Knows it", "ms")
    head = "".join(f'<th scope="col">{f"<button type=button>{name}</button>" if name else ""}</th>' for name in heads)
    table = (
        f'<div class="tz-scroll tz-batch" tabindex="0"><table class="tz-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(map(_row, good))}</tbody></table></div>"
    )
    unknown = sum(1 for row in good if row.answer and row.answer.unknown)
    promise = "" if miss is None else f" Sets hold the truth in {percent(1 - miss, 0)}."
    left = f" {more:,} beyond the first {MOST} were left out: {MOST} at once is the most." if more else ""
    note = f"{plural(len(good), 'picture')} answered, {unknown} it does not know.{promise}{left}"
    address = base64.b64encode(as_csv(rows).encode()).decode()
    link = (
        '<p class="tz-note tz-gap"><a download="answers.csv" '
        f'href="data:text/csv;charset=utf-8;base64,{address}">Download as CSV</a></p>'
    )
    bad = "".join(f"<li><b>{kit.own(row.name)}</b> {esc(row.problem)}</li>" for row in rows if row.problem)
    problems = kit.panel("Not read", f'<ul class="tz-list" tabindex="0">{bad}</ul>') if bad else ""
    return f'<div class="tz-stack">{kit.panel("Answers", (table if good else "") + link, note)}{problems}</div>'


def _row(row: Row) -> str:
    said = row.answer
    if said is None or row.picture is None:
        return ""
    knows = '<span class="tz-badge bad">no</span>' if said.unknown else "yes"
    return (
        f'<tr><td><img src="{image(row.picture, 56)}" alt=""></td><th scope="row">{kit.own(row.name)}</th>'
        f'<td>{kit.own(said.label)}</td><td data-sort="{said.probability:.6f}">{percent(said.probability)}</td>'
        f'<td data-sort="{len(said.set):03}" title="{esc(", ".join(said.set))}">{_few(said.set)}</td>'
        f'<td data-sort="{said.novelty or 0:012.4f}">{knows}</td><td>{1000 * said.seconds:.0f}</td></tr>'
    )


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 3 else ""
    return kit.own(", ".join(names[:2] if more else names)) + more


def solved_html(found: dict[str, Any], label: str) -> str:
    """What a probe learned from one picture put right."""
    change = found["after"] - found["before"]
    figures = [
        (percent(found["before"]), f"before ({kit.between(found['before_interval'])})"),
        (percent(found["after"]), f"now ({kit.between(found['after_interval'])})"),
        (f"{100 * change:+.2f}", "points"),
    ]
    said = f"it says {found['says']} now" if found["says"] != found["said"] else f"it still says {found['says']}"
    text = (
        f"Of this picture it said {found['said']}, and with it learned {said}; for {label} it had "
        f"{found['was']:.2f} and has {found['now']:.2f} (1 is certain). One picture moves an accuracy little."
    )
    honest = kit.lesson(
        "Solved anew",
        f"is a probe: ridge regression on what the frozen backbone sees in {plural(found['pictures'], 'picture')}, "
        "each told by the fit without it, the test part left out. The classifier itself stays as it is until it is "
        "trained again, and a new revision is split anew.",
    )
    return f'<div class="tz-stack">{kit.panel("A probe that learned it", kit.tiles(figures), text)}{honest}</div>'
