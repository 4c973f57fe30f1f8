"""The fourth screen: everything the test part said of a classifier, with its pictures, and when to believe it."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from trainer import report
from trainer.conformal import LEVELS
from trainer.judgement import Judgement, measure_trust, measuring
from trainer.judging import MAP, WIDTHS
from trainer.runs import Runs
from trainer.ui import doubt_view, results_view
from trainer.ui.results_view import named
from trainer.ui.vacant import Vacant
from zoo.errors import NotFound, StudioError
from zoo.pictures import Pictures
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui import kit
from zoo.ui.findings_view import curve_html
from zoo.ui.kit import CLICKED, POLL, QUIET, Seat, image, percent, spoken

TEACHING = "How good it is on pictures it had never seen, where it errs, and when to believe it."
NONE = "Train a classifier first; its results stand here."
READING = "Reading what the test part said."
CHOSEN = "Click a cell above to see its pictures."
SHOWN = 24  # pictures of a cell
DOUBTS = "Does it know what it does not know? That takes some minutes of computing; the page can be closed meanwhile."
Found = dict[str, Any]


def place(seat: Seat, store: Store, settings: Settings, runs: Runs) -> None:
    """Lay the screen out and wire it."""
    gr.HTML(kit.heading("Results", TEACHING))
    with gr.Column(visible=False) as whole:
        which = gr.Dropdown([], label="Classifier", elem_classes="tz-which")
        head = gr.HTML(kit.looking(READING))
        with gr.Row(equal_height=False):
            with gr.Column(min_width=300):
                matrix = gr.HTML(js_on_load=CLICKED, elem_id="confusion")
            with gr.Column(min_width=300):
                certainty = gr.HTML()
        cell = gr.HTML(elem_id="cell")
        table = gr.HTML()
        pairs = gr.HTML()
        with gr.Row(equal_height=False):
            with gr.Column(min_width=300):
                sure = gr.Slider(0, 0.99, value=0.5, step=0.01, label="Answer only when at least this sure")
                answering = gr.HTML()
            with gr.Column(min_width=300):
                level = gr.Radio(
                    [(percent(1 - miss, 0), miss) for miss in LEVELS], value=0.1, label="Sets that hold the truth"
                )
                sets = gr.HTML()
        costs = _Costs.place()
        trust = gr.HTML(kit.say(DOUBTS))
        measure = gr.Button("Measure it", variant="secondary", scale=0, min_width=140)
        with gr.Column(visible=False) as mapped:
            width = gr.Slider(1, len(WIDTHS), value=1, step=1, label="Bottleneck, from 2 numbers to 32")
            plane = gr.HTML()
        with gr.Row():
            files = [
                gr.DownloadButton(f"Download {ending}", size="sm", min_width=120) for ending in ("HTML", "CSV", "JSON")
            ]
    vacant = Vacant.place(NONE, train="Go to Train", go="Try it")
    after = vacant.after
    timer, stood = gr.Timer(3, active=False), gr.State("")
    doubts = [trust, measure, mapped, plane, timer, stood]
    shown = [head, matrix, certainty, cell, table, pairs, answering, sets, costs.truth, costs.said, *files, *doubts]

    def open_up(step: str, dataset: str, run_id: str, last: str | None, bare: bool) -> list[Any]:
        if step != "results":
            return [gr.skip(), gr.skip(), *vacant.away(bare)]
        finished = [run for run in runs.list() if run.state == "finished"]
        if not finished:
            return [gr.Column(visible=False), gr.skip(), *vacant.empty()]
        ids = [run.id for run in finished]
        mine = [run.id for run in finished if run.plan and run.plan.dataset == dataset]
        best = run_id if run_id in ids else last if last in ids else (mine or ids)[0]
        picked = gr.Dropdown([(named(run), run.id) for run in finished], value=best)
        return [gr.Column(visible=True), picked, *vacant.filled("Ask it yourself.", "go")]

    def show(run_id: str, threshold: float, miss: float) -> list[Any]:
        try:
            judged = _judged(runs.folder(run_id), store)
            found = _found(judged)
        except StudioError as error:
            return [kit.say(str(error), "bad"), *[""] * 7, gr.skip(), gr.skip(), *[gr.skip()] * (3 + len(doubts))]
        plan = runs.read(run_id).plan
        foretold = {} if plan is None else {
            "accuracy": plan.predicted_accuracy, "low": plan.predicted_low, "high": plan.predicted_high
        }  # fmt: skip
        classes = list(judged.classes)
        return [
            results_view.headline_html(found, foretold),
            results_view.confusion_html(found),
            results_view.calibration_html(found),
            _hardest(judged, store),
            results_view.classes_html(found),
            results_view.pairs_html(found),
            doubt_view.answering_html(found["answering"], threshold),
            _sets(judged, miss),
            gr.Dropdown(classes, value=classes[0]),
            gr.Dropdown(classes, value=classes[-1]),
            *_files(judged, found),
            *doubt(run_id, 1),
        ]

    def doubt(run_id: str, width: float) -> list[Any]:
        folder = runs.folder(run_id)
        busy, said = measuring(folder)
        known = _judged(folder, store).trust
        if busy:
            told = kit.say(said or "Reading features.", "wait")
        elif known is None:
            told = kit.say(f"It ended early: {said}" if said else DOUBTS, "bad" if said else "plain")
        else:
            curve = curve_html(known["curve"]) if known.get("curve") else ""
            told = f'<div class="tz-stack">{doubt_view.trust_html(known)}{curve}</div>'
        there = known is not None and not busy and (folder / MAP).is_file()
        drawn = _map(_judged(folder, store), folder, int(width)) if there else ""
        button = gr.Button("Measure it again" if known else "Measure it", visible=not busy)
        return [told, button, gr.Column(visible=there), drawn, gr.Timer(active=busy), f"{busy} {said} {known is None}"]

    def tick(run_id: str, width: float, last: str) -> list[Any]:
        """Nothing is sent while nothing changed."""
        found = doubt(run_id, width)
        return [gr.skip()] * len(doubts) if found[-1] == last else found

    @spoken()
    def begin(run_id: str, width: float) -> list[Any]:
        measure_trust(runs.folder(run_id), settings.home)
        return doubt(run_id, width)

    def cell_of(run_id: str, event: gr.EventData) -> Any:
        chosen = kit.chosen(event).split()
        if len(chosen) != 3 or chosen[0] != "cell" or not all(part.isdecimal() for part in chosen[1:]):
            return gr.skip()
        return _cell(_judged(runs.folder(run_id), store), store, int(chosen[1]), int(chosen[2]))

    @spoken()
    def weigh(run_id: str, truth: str, said: str, price: float, asking: float | None) -> str:
        judged = _judged(runs.folder(run_id), store)
        names = judged.classes
        if truth not in names or said not in names or truth == said:
            raise NotFound("Choose two different classes.", "One is the truth, the other what it was taken for.")
        matrix = 1.0 - np.eye(len(names))
        matrix[names.index(truth), names.index(said)] = price
        return doubt_view.costs_html(judged.costed(matrix, asking or None))

    def threshold_of(run_id: str, threshold: float) -> str:
        return doubt_view.answering_html(_found(_judged(runs.folder(run_id), store))["answering"], threshold)

    def level_of(run_id: str, miss: float) -> str:
        return _sets(_judged(runs.folder(run_id), store), miss)

    def map_of(run_id: str, width: float) -> str:
        folder = runs.folder(run_id)
        return _map(_judged(folder, store), folder, int(width))

    asked = [seat.step, seat.dataset, seat.run, which, vacant.bare]
    seat.step.change(open_up, asked, [whole, which, *vacant.parts], **QUIET)
    which.change(show, [which, sure, level], shown, **QUIET)
    sure.release(threshold_of, [which, sure], answering, **QUIET)
    level.input(level_of, [which, level], sets, **QUIET)
    width.release(map_of, [which, width], plane, **QUIET)
    matrix.click(cell_of, which, cell, **QUIET)
    costs.go.click(weigh, [which, *costs.values], costs.told, **QUIET)
    measure.click(begin, [which, width], doubts, **QUIET)
    timer.tick(tick, [which, width, stood], doubts, **POLL)
    after.buttons["train"].click(lambda: "train", None, seat.step, **QUIET)
    after.buttons["go"].click(lambda run_id: (run_id, "try"), which, [seat.run, seat.step], **QUIET)


class _Costs:
    """Two classes, what confusing them costs, what asking a person costs."""

    def __init__(self, parts: list[Any]) -> None:
        self.truth, self.said, self.price, self.asking, self.go, self.told = parts

    @classmethod
    def place(cls) -> _Costs:
        with gr.Accordion("Some mistakes cost more: decide by cost", open=False):
            with gr.Row(equal_height=True):
                truth = gr.Dropdown([], label="A picture of", min_width=140, elem_classes="tz-own")
                said = gr.Dropdown([], label="taken for", min_width=140, elem_classes="tz-own")
                price = gr.Number(10, label="costs as much as so many other mistakes", minimum=0, min_width=160)
                asking = gr.Number(None, label="asking a person costs (empty: never)", minimum=0, min_width=160)
            go = gr.Button("Decide by cost", variant="secondary", scale=0, min_width=140)
            told = gr.HTML()
        return cls([truth, said, price, asking, go, told])

    @property
    def values(self) -> list[Any]:
        return [self.truth, self.said, self.price, self.asking]


def _judged(folder: Path, store: Store) -> Judgement:
    stamps = tuple(
        (folder / name).stat().st_mtime_ns if (folder / name).exists() else 0
        for name in ("evaluation.json", "trust.json")
    )
    return _remembered(folder, store, stamps)


@lru_cache(maxsize=8)
def _remembered(folder: Path, store: Store, _: tuple[int, ...]) -> Judgement:
    return Judgement.load(folder, store)


@lru_cache(maxsize=8)
def _found(judged: Judgement) -> Found:
    return judged.results()


def _sets(judged: Judgement, miss: float) -> str:
    try:
        return doubt_view.sets_html(judged.coverage(miss))
    except StudioError as refused:
        return kit.say(str(refused), "wait")


def _hardest(judged: Judgement, store: Store) -> str:
    wrong = [one for one in judged.evaluation.get("hardest", []) if one["predicted"] != one["label"]][:12]
    if not wrong:
        return kit.say(CHOSEN)
    note = "Look twice: sometimes it is the label that is wrong. Click a cell above to see others."
    pictures = _pictures(judged, store)
    cells = [
        (image(pictures[one["index"]], 160), one["label"], f"taken for {one['predicted']}") for one in wrong
    ] if pictures else []  # fmt: skip
    return results_view.pictures_html("Hardest pictures", cells, note=note)


def _cell(judged: Judgement, store: Store, truth: int, said: int) -> str:
    names = judged.classes
    if max(truth, said) >= len(names):
        return kit.say(CHOSEN)
    rows = judged.cell(truth, said)
    pictures = _pictures(judged, store)
    if pictures is None:
        return kit.say("The pictures of this dataset are not here any more.", "wait")
    sure = dict(zip(judged.kept.rows.tolist(), judged.kept.sure()[:, said].tolist(), strict=True))
    title = f"{names[truth]}, rightly" if truth == said else f"{names[truth]} taken for {names[said]}"
    cells = [
        (image(pictures[row], 160), names[truth], f"{percent(sure[row], 0)} {names[said]}") for row in rows[:SHOWN]
    ]
    more = max(0, len(rows) - SHOWN)
    return results_view.pictures_html(title, cells, note=f"And {more} more." if more else "")


def _pictures(judged: Judgement, store: Store) -> Pictures | None:
    try:
        return Pictures.open(store, judged.dataset)
    except StudioError:
        return None


def _map(judged: Judgement, folder: Path, place: int) -> str:
    width = WIDTHS[min(max(place, 1), len(WIDTHS)) - 1]
    try:
        with np.load(folder / MAP, allow_pickle=False) as stored:
            plane, rows = stored[f"k{width}"], stored["rows"]
    except (OSError, ValueError, KeyError):
        return ""
    share = (judged.trust or {}).get("rebuilt", {}).get(str(width), 0.0)
    return doubt_view.map_html(plane, judged.dataset.y[rows], judged.classes, share, width)


def _files(judged: Judgement, found: Found) -> list[Any]:
    folder = Path(tempfile.mkdtemp(prefix="results-"))
    paths = [folder / f"results-{judged.run[:6]}{ending}" for ending in (".html", ".csv", ".json")]
    for path in paths:
        report.write(found, path, judged.dataset.title)
    return [gr.DownloadButton(value=str(path)) for path in paths]
