"""The machines that compute here, looked up by a process of its own: the page never imports Ray."""

from __future__ import annotations

import subprocess

import gradio as gr

from trainer.elsewhere import everywhere
from trainer.plan import Plan
from trainer.runs import Runs
from trainer.ui.nodes_view import kinds_html, nodes_html
from zoo.background import spawn
from zoo.comparisons import Comparisons
from zoo.errors import NotFound
from zoo.nodes import speeds_of
from zoo.settings import Settings
from zoo.store import Store, new_id, read_json
from zoo.ui import kit
from zoo.ui.kit import QUIET, Seat

PATIENCE = 60.0  # seconds for a cluster to say how it is
ASKING = "Asking the machines. A cluster takes some seconds."
SILENT = "The machines could not be asked. nodes/log.txt in the studio's home says why."


def elsewhere(settings: Settings, comparisons: Comparisons, plan: Plan) -> str:
    """What ``plan`` takes on each kind of machine in the cluster; nothing where it runs on this machine."""
    if plan.engine == "local":
        return ""
    return kinds_html(everywhere(plan, settings, comparisons.latest(plan.dataset)))


def place(seat: Seat, store: Store, settings: Settings, runs: Runs, comparisons: Comparisons) -> gr.HTML:
    """Lay it out, closed; whoever opens it has the machines asked. What it returns changes when they have answered."""
    with gr.Accordion("Machines", open=False) as section:
        view = gr.HTML()
        again = gr.Button("Look again", size="sm")

    def look(comparison: str) -> str:
        folder = speeds_of(store).parent
        folder.mkdir(parents=True, exist_ok=True)
        found = folder / f"standing-{new_id()}.json"
        process = spawn("nodes", str(found), settings.home, folder / "log.txt")
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        machines = read_json(found)
        found.unlink(missing_ok=True)
        if not machines:
            return kit.say(SILENT, "bad")
        try:
            asked = comparisons.read(comparison)
        except NotFound:
            asked = None
        return nodes_html(machines, runs.list(), read_json(speeds_of(store)) or {}, asked)

    for event in (section.expand, again.click):
        event(lambda: kit.looking(ASKING), None, view, **QUIET).then(look, seat.comparison, view, **QUIET)
    return view
