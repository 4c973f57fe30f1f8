"""The page's API for what you have: stable names, plain values, the functions that screens and commands call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from zoo.comparisons import Comparisons
from zoo.dataset import Dataset
from zoo.errors import BadUpload
from zoo.health import check as health
from zoo.intake import intake as take
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui.kit import spoken


def readable(path: str, *, local: bool) -> Path:
    """``path``, if whoever asks may name it: any on this computer, else only what was uploaded to this page.

    Raises:
        BadUpload: it may not be named, or does not exist.
    """
    if not isinstance(path, str):
        raise BadUpload(f"{str(path)[:80]!r} is no path.", "Give a path as text.")
    asked = Path(path).expanduser() if local else Path(path)
    uploads = Path(gr.utils.get_upload_folder()).resolve()
    if not local and not asked.resolve().is_relative_to(uploads):
        raise BadUpload("Paths on the server cannot be read from here.", "Upload the file and give the path you get.")
    if not asked.exists():
        raise BadUpload(f"There is no file {path[:200]!r}.", "Check the path.")
    return asked


def plain(value: Any) -> Any:
    """``value`` with every "path" called "file": Gradio's client takes whatever has a path for a file to fetch."""
    if isinstance(value, dict):
        return {"file" if key == "path" else key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def no_tool(*functions: Callable[..., Any]) -> None:
    """Leave functions to scripts: an agent chooses best among few tools, and none that throws something away."""
    for function in functions:
        vars(function)["_mcp_type"] = "none"


def offer(store: Store, settings: Settings, comparisons: Comparisons, *, local: bool) -> None:
    """Add the named endpoints to the page under construction."""

    @spoken()
    def intake(source: str) -> dict[str, Any]:
        """Read pictures: "sample", or the path of a folder of class folders or of a zip. Gives the dataset's id."""
        dataset = take(source if source == "sample" else readable(source, local=local), store, settings)
        skipped = [{"file": one.path, "why": one.why} for one in dataset.skipped]
        return {"dataset": dataset.id, "pictures": len(dataset), "classes": dataset.counts, "skipped": skipped}

    @spoken()
    def check(dataset: str) -> dict[str, Any]:
        """The health report of a dataset, without doubting its labels (the command line does that, too)."""
        report: dict[str, Any] = plain(health(Dataset.load(store, dataset), store, settings, labels=False).as_json())
        return report

    def compare(dataset: str, backbones: list[str], budget: float = 0) -> Iterator[dict[str, Any]]:
        """Compare backbones on a dataset; budget in seconds, 0 for none. Yields the comparison as it grows."""
        with spoken():
            started = comparisons.start(dataset, backbones, budget or None)
        while True:
            found = comparisons.read(started)
            yield found
            if found["state"] != "running":
                return
            time.sleep(0.5)

    gr.api(intake, api_name="intake", concurrency_limit=2, concurrency_id="intake")
    gr.api(check, api_name="check", concurrency_limit=1)
    gr.api(compare, api_name="compare", concurrency_limit=4)
