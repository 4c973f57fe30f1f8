"""The page's API for runs that are there: words kept with them, their turn, copies, the bin, two side by side."""

from __future__ import annotations

from typing import Any

import gradio as gr

from trainer.contrast import contrast
from trainer.links import Links
from trainer.repeating import repeated, varied
from trainer.runs import Runs
from zoo.errors import BadPlan
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui.api import no_tool
from zoo.ui.kit import spoken


def offer(store: Store, settings: Settings, runs: Runs) -> None:
    """Add the named endpoints to the page under construction."""

    @spoken()
    def note(run_id: str, text: str) -> dict[str, Any]:
        """Keep words with a run, "" for none; gives the run as it stands."""
        runs.note(run_id, text)
        return runs.read(run_id).as_json()

    @spoken()
    def priority(run_id: str, number: int) -> dict[str, Any]:
        """Move a waiting run: the higher goes first; gives the run as it stands."""
        runs.prioritise(run_id, number)
        return runs.read(run_id).as_json()

    @spoken()
    def delete(run_id: str) -> str:
        """Put a run that has ended into the bin; /restore undoes it."""
        runs.delete(run_id)
        return run_id

    @spoken()
    def restore(run_id: str) -> dict[str, Any]:
        """Take a run out of the bin; gives the run as it stands."""
        runs.restore(run_id)
        return runs.read(run_id).as_json()

    @spoken()
    def duplicate(run_id: str, changes: dict[str, Any]) -> str:
        """Queue a run's plan again with changed fields, and return the new run's id."""
        return runs.start(varied(runs.read(run_id), changes, store, settings), origin=("duplicate", run_id))

    @spoken()
    def replay(run_id: str) -> str:
        """Queue a finished run once more as it was, and return the new run's id; /diff tells what differs."""
        return repeated(runs, run_id)

    @spoken()
    def diff(run_id: str, other: str) -> dict[str, Any]:
        """Two runs side by side: configuration, confusion and paired accuracy difference."""
        return contrast(runs, run_id, other)

    @spoken()
    def link(run_id: str, action: str = "new") -> str:
        """The address at which anyone may ask a run's classifier: "new" or "none"; earlier ones end."""
        links = Links(store, runs)
        if action == "new":
            return links.renew(run_id)
        if action != "none":
            raise BadPlan(f"A link cannot be {str(action)[:40]!r}.", 'Say "new" or "none".')
        links.drop(run_id)
        return ""

    no_tool(note, priority, delete, restore, duplicate, replay, link)
    gr.api(note, api_name="note")
    gr.api(priority, api_name="priority")
    gr.api(delete, api_name="delete")
    gr.api(restore, api_name="restore")
    gr.api(duplicate, api_name="duplicate")
    gr.api(replay, api_name="replay")
    gr.api(diff, api_name="diff")
    gr.api(link, api_name="link")
