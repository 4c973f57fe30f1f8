"""The page's API for what you make: stable names, plain values, the functions that screens and commands call."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from trainer.plan import Plan
from trainer.plans import suggest as advise
from trainer.runs import Runs
from trainer.takeouts import Takeouts
from trainer.ui import api_runs
from trainer.ui.shelf import Shelf
from zoo.comparisons import Comparisons
from zoo.dataset import Dataset
from zoo.decode import read_picture
from zoo.errors import StudioError
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui.api import readable
from zoo.ui.kit import spoken


def offer(store: Store, settings: Settings, runs: Runs, comparisons: Comparisons, shelf: Shelf, *, local: bool) -> None:
    """Add the named endpoints to the page under construction."""
    takeouts = Takeouts(store, runs)

    @spoken()
    def suggest(dataset: str, comparison: str = "") -> dict[str, Any]:
        """The plan advised for a dataset, from a comparison of it where one is named."""
        found = comparisons.read(comparison) if comparison else None
        return advise(found, Dataset.load(store, dataset), settings).as_json()

    @spoken()
    def train(plan: dict[str, Any]) -> str:
        """Queue a run of a plan, as /suggest gives it, and return the run's id."""
        wanted = Plan.from_json(plan)
        Dataset.load(store, wanted.dataset)
        return runs.start(wanted)

    @spoken()
    def run(run_id: str) -> dict[str, Any]:
        """A run as it stands: state, message, curves, test result."""
        return runs.read(run_id).as_json()

    def all_runs() -> list[dict[str, Any]]:
        """Every run, newest first."""
        return [one.as_json() for one in runs.list()]

    @spoken()
    def stop(run_id: str) -> dict[str, Any]:
        """Ask a run to keep a checkpoint and end; gives the run as it stands."""
        runs.stop(run_id)
        return runs.read(run_id).as_json()

    @spoken()
    def resume(run_id: str) -> dict[str, Any]:
        """Queue a stopped, failed or lost run again; gives the run as it stands."""
        runs.resume(run_id)
        return runs.read(run_id).as_json()

    @spoken()
    def predict(run_id: str, pictures: list[str]) -> list[dict[str, Any]]:
        """Answers of a finished run's classifier for picture files, each with its error where it cannot be read."""
        classifier = shelf.get(runs.classifier(run_id))
        rows: list[dict[str, Any]] = []
        for path in pictures:
            try:
                picture = read_picture(readable(path, local=local))
                rows.append({"file": path} | classifier.predict([picture])[0].as_json())
            except StudioError as error:
                rows.append({"file": path, "error": str(error)})
        return rows

    @spoken()
    def export(run_id: str, form: str = "folder") -> str:
        """A finished run's classifier as one zip file: folder, onnx, openvino, space or web, each proven."""
        takeouts.start(run_id, form)
        takeouts.wait(run_id, form)
        return str(takeouts.packed(run_id, form, Path(tempfile.mkdtemp())))

    all_runs.__name__ = "runs"  # what an agent calls it
    api_runs.offer(store, settings, runs)
    gr.api(suggest, api_name="suggest")
    gr.api(train, api_name="train")
    gr.api(run, api_name="run", concurrency_limit=None)  # many may watch one run
    gr.api(all_runs, api_name="runs", concurrency_limit=None)
    gr.api(stop, api_name="stop")
    gr.api(resume, api_name="resume")
    gr.api(predict, api_name="predict", concurrency_limit=2, concurrency_id="predict")
    asked, form, bundle = gr.Textbox(visible=False), gr.Textbox("folder", visible=False), gr.File(visible=False)
    gr.Button(visible=False).click(export, [asked, form], bundle, api_name="export", concurrency_limit=2)
