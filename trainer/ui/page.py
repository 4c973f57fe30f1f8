"""The whole page: masthead, the way through in steps, and a screen for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from trainer.runs import Runs
from trainer.ui import api as runs_api
from trainer.ui import augment_view, nodes_tab, present, race_tab, results_tab, share_tab, train_tab, try_tab
from trainer.ui.shelf import shared
from zoo.comparisons import Comparisons
from zoo.dataset import Dataset
from zoo.errors import NotFound
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui import api, compare_tab, data_tab, kit, tour
from zoo.ui.asking import visited
from zoo.ui.compare_view import summary
from zoo.ui.glossary import glossary
from zoo.ui.kit import QUIET, Seat, percent, plural

STEPS = {"data": "Data", "compare": "Compare", "train": "Train", "results": "Results", "try": "Try", "share": "Share"}
# Whoever follows an address goes where it says, also where this browser looked last; whoever reloads stays.
ARRIVED = """(run, comparison) =>
  performance.getEntriesByType('navigation')[0]?.type === 'navigate' ? ['', ''] : [run, comparison]"""
PUBLIC = "A public page: compare small sets of pictures and try classifiers. To train, run the studio yourself."
# A turn of screens is the browser's own: every screen is mounted once, and a style says which of them is seen.
TURNS = Path(__file__).with_name("turns.js").read_text()
TURN = "(step) => { window.studioTurn?.(step); return Array(%d).fill({ visible: true, __type__: 'update' }); }"
ADDRESS = """(id) => { const here = new URL(location.href);
  id ? here.searchParams.set('%s', id) : here.searchParams.delete('%s'); history.replaceState(null, '', here); }"""


def build(settings: Settings, *, local: bool) -> gr.Blocks:
    """The page, ready to launch; ``local`` says that only this computer can reach it."""
    store = visited(settings)
    runs, comparisons, shelf = Runs(store, settings), Comparisons(store, settings), shared(settings)

    def finished() -> list[dict[str, Any]]:
        return [outcome for run in runs.list() if (outcome := run.outcome)]

    def deciding() -> gr.HTML | None:
        race_tab.place(seat, store, settings, runs, picked)
        augment_view.place(seat, store, settings, comparisons, picked)
        return nodes_tab.place(seat, store, settings, runs, comparisons) if settings.mode != "demo" else None

    page = gr.Blocks(title="Transfer Zoo", analytics_enabled=False, delete_cache=(3600, 24 * 3600))
    with page:
        # Before the screens, whose own functions would otherwise take the names.
        api.offer(store, settings, comparisons, local=local)
        runs_api.offer(store, settings, runs, comparisons, shelf, local=local)
        gr.Navbar(visible=False)
        seat, picked = Seat.take(), kit.remembered("backbone", "")
        gr.HTML(kit.masthead())
        if settings.oauth:
            gr.LoginButton(size="sm")
        if settings.mode == "demo":
            gr.HTML(kit.say(PUBLIC))
        steps = gr.HTML(_stepper("data", {}), js_on_load=TURNS)
        gr.HTML(tour.tour_html(), js_on_load=tour.SCRIPT)
        gr.HTML(glossary(), elem_id="glossary")
        screens: dict[str, gr.Column] = {}
        for key in STEPS:
            with gr.Column(visible=key == "data", elem_classes="tz-screen", elem_id=f"screen-{key}") as screens[key]:
                match key:
                    case "data":
                        data_tab.place(seat, store, settings, local=local)
                    case "compare":
                        compared = compare_tab.place(seat, store, settings, comparisons, picked, finished)
                    case "train":
                        trained = train_tab.place(seat, store, settings, runs, comparisons, picked, deciding)
                    case "results":
                        results_tab.place(seat, store, settings, runs)
                    case "try":
                        try_tab.place(seat, store, settings, runs, shelf)
                    case _:
                        share_tab.place(seat, store, runs)

        def describe(step: str, dataset: str, comparison: str, run: str) -> str:
            return _stepper(step, _standing(store, comparisons, runs, dataset, comparison, run))

        def adopt(run: str, comparison: str, request: gr.Request) -> list[Any]:
            """A run or a comparison named in the address is the one to look at, on any browser."""
            named = {one: str(request.query_params.get(one, "")) for one in ("run", "comparison")}
            try:
                plan = runs.read(named["run"]).plan if named["run"] not in ("", run) else None
                if plan:
                    return [named["run"], gr.skip(), "train", plan.dataset]
                if named["comparison"] not in ("", comparison) and not named["run"]:
                    dataset = comparisons.read(named["comparison"])["dataset"]
                    return [gr.skip(), named["comparison"], "compare", dataset]
            except NotFound:
                pass
            return [gr.skip()] * 4

        ids = [seat.dataset, seat.comparison, seat.run]
        steps.click(None, None, seat.step, js="() => window.studioStep")
        gr.on([page.load, seat.step.change], None, seat.step, list(screens.values()), js=TURN % len(STEPS))
        moments = [seat.step.change, *(one.change for one in ids), compared.change, trained.change]
        gr.on(moments, describe, [seat.step, *ids], steps, **QUIET)
        looked_at = [seat.run, seat.comparison]
        page.load(adopt, looked_at, [*looked_at, seat.step, seat.dataset], js=ARRIVED, **QUIET)
        seat.run.change(None, seat.run, None, js=ADDRESS.replace("%s", "run"))
        seat.comparison.change(None, seat.comparison, None, js=ADDRESS.replace("%s", "comparison"))
    present.place(page, store, runs, shelf)
    kit.let_overlap(page)
    return page


def _stepper(step: str, standing: dict[str, tuple[str, bool]]) -> str:
    here = step if step in STEPS else "data"
    return kit.stepper(here, ((key, name, *standing.get(key, ("", False))) for key, name in STEPS.items()))


def _standing(
    store: Store, comparisons: Comparisons, runs: Runs, dataset: str, comparison: str, run_id: str
) -> dict[str, tuple[str, bool]]:
    """For each step what there is, in a few words, and whether it is done."""
    standing = dict.fromkeys(STEPS, ("", False))
    try:
        known = Dataset.load(store, dataset)
        standing["data"] = (f"{plural(len(known), 'picture')}, {plural(len(known.classes), 'class')}", True)
    except NotFound:
        pass
    try:
        found = comparisons.read(comparison)
        if found["dataset"] == dataset:
            standing["compare"] = (summary(found), found["state"] == "finished")
    except NotFound:
        pass
    try:
        run = runs.read(run_id)
        accuracy = (run.test or {}).get("accuracy")
        right = f", {percent(accuracy, 0)} right" if isinstance(accuracy, float) else ""
        standing["train"] = (f"{run.state}{right}", run.state == "finished")
        if run.state == "finished":
            standing["results"] = (f"{(run.test or {}).get('n') or 0:,} test pictures", True)
        standing["try"] = ("ready to answer" if run.state == "finished" else "", False)
    except NotFound:
        pass
    return standing
