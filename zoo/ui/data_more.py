"""More pictures for a dataset, and the way out of one: everything that adds to it or takes it elsewhere."""

from __future__ import annotations

import base64
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from zoo.adding import add
from zoo.bursts import developed
from zoo.columns import Columns
from zoo.dataset import Dataset, split
from zoo.errors import BadExport
from zoo.repair import repair_csv, repair_report
from zoo.sandbox import Progress
from zoo.settings import Settings
from zoo.store import Store, new_id
from zoo.takeout import take_out
from zoo.ui import camera, kit
from zoo.ui.columns_form import Chooser, told_or_asked
from zoo.ui.kit import QUIET, Seat, esc, plural
from zoo.ui.reading import Readings

TYPES = [".zip", ".tar", ".gz", ".tgz", ".csv", ".tsv", ".parquet"]
SHOWN = 8


def place_adding(seat: Seat, store: Store, settings: Settings, readings: Readings, *, local: bool) -> None:
    """A form that makes the next revision of the dataset on the seat."""
    gr.HTML(f'<p class="tz-note">{esc("What is there already is not taken twice. One class alone will do.")}</p>')
    with gr.Row(equal_height=True):
        drop = gr.File(label="Zip of class folders, or a table", file_types=TYPES, height=150, elem_id="more")
        with gr.Column(visible=local):
            path = gr.Textbox(label="Or a folder on this computer", placeholder="/home/me/more")
            read = gr.Button("Add it")
    chooser = Chooser.place()
    with gr.Accordion("Or take pictures with a camera", open=False):
        tray, lying = camera.place(store)
        develop = gr.Button("Add what was taken", variant="primary")
    working = gr.HTML(visible=False)
    stop = gr.Button("Stop", visible=False)

    def taken(source: str, dataset: str, names: tuple[str, ...], request: gr.Request) -> Iterator[Any]:
        def make(told: Progress, columns: Columns) -> Dataset:
            return add(Dataset.load(store, dataset), source, store, settings, told, columns)

        visitor = str(request.session_hash)
        for report, found, asked in told_or_asked(source, names, visitor, readings, store, settings, make):
            yield (*shown(report, found), *(chooser.ask(source, asked) if asked else chooser.shut()))

    def dropped(source: str | None, dataset: str, request: gr.Request) -> Iterator[Any]:
        yield from taken(source, dataset, (), request) if source and dataset else ()

    def named(source: str, dataset: str, request: gr.Request) -> Iterator[Any]:
        yield from taken(source.strip(), dataset, (), request) if local and source.strip() and dataset else ()

    def columned(source: str, dataset: str, request: gr.Request, *names: str) -> Iterator[Any]:
        yield from taken(source, dataset, names, request) if source and dataset else ()

    def captured(tray_id: str, dataset: str, request: gr.Request) -> Iterator[Any]:
        def work(told: Callable[[str, int, int], None]) -> Dataset:
            return developed(store, settings, tray_id, Dataset.load(store, dataset), told)

        for report, found in readings.follow(str(request.session_hash), work) if tray_id else ():
            yield (*shown(report, found), "" if found else gr.skip(), "" if found else gr.skip())

    def shown(report: str, found: str) -> tuple[Any, ...]:
        going = "tz-progress" in report
        return (
            gr.HTML(report, visible=bool(report)),
            gr.Button(visible=going),
            gr.update(value=None),
            found or gr.skip(),
        )

    outputs: list[Any] = [working, stop, drop, seat.dataset]
    moves: dict[str, Any] = {**QUIET, "concurrency_id": "intake"}
    wide = [*outputs, *chooser.parts]
    drop.upload(dropped, [drop, seat.dataset], wide, **moves)
    gr.on([read.click, path.submit], named, [path, seat.dataset], wide, **moves)
    chooser.read.click(columned, [chooser.pending, seat.dataset, *chooser.picks], wide, **moves)
    develop.click(captured, [tray, seat.dataset], [*outputs, tray, lying], **moves)
    stop.click(stopper(readings), None, None, **QUIET)


def stopper(readings: Readings) -> Callable[[gr.Request], None]:
    """What a stop button does: end what this visitor has under way."""

    def stop(request: gr.Request) -> None:
        readings.stop(str(request.session_hash))

    return stop


def place_taking(seat: Seat, store: Store, *, local: bool) -> None:
    """Buttons that give the dataset back, with its split."""
    gr.HTML(
        '<p class="tz-note">The pictures as you gave them, edited as you edited them, in the split that every run here '
        "uses. <b>Folders</b> are train, val and test with a folder for each class. <b>Parquet</b> is what "
        "Hugging Face’s <code>datasets</code> loads.</p>"
    )
    kind = gr.Radio([("Folders", "folder"), ("Parquet", "parquet")], value="folder", label="Format")
    to = gr.Textbox(
        label="Folder on this computer, new or empty; a zip to download if left empty",
        placeholder="/home/me/taken",
        visible=local,
    )
    go = gr.Button("Take it out", variant="primary")
    file = gr.File(label="Download", visible=False, interactive=False)
    said = gr.HTML(visible=False)

    @kit.spoken()
    def take(dataset_id: str, form: str, where: str) -> list[Any]:
        if form not in ("folder", "parquet"):
            raise BadExport("There is no such format.", "Choose folders or Parquet.")
        dataset = Dataset.load(store, dataset_id)
        parts = split(dataset)
        if local and where.strip():
            files = take_out(dataset, parts, Path(where.strip()).expanduser(), form)  # type: ignore[arg-type]
            return [
                gr.File(visible=False),
                gr.HTML(kit.say(f"{plural(len(files), 'file')} are there.", "good"), visible=True),
            ]
        with tempfile.TemporaryDirectory(dir=store.uploads) as room:
            folder = Path(room) / "taken"
            take_out(dataset, parts, folder, form)  # type: ignore[arg-type]
            bundle = _zip(folder, Path(tempfile.mkdtemp(prefix=new_id())) / f"{dataset.id}-{form}.zip")
        return [gr.File(str(bundle), visible=True), gr.HTML("", visible=False)]

    go.click(take, [seat.dataset, kind, to], [file, said], **QUIET)


def _zip(folder: Path, bundle: Path) -> Path:
    """``folder`` in one file; pictures are packed already, so nothing is packed again."""
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as made:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                made.write(path, path.relative_to(folder).as_posix())
    shutil.rmtree(folder)
    return bundle


def report_html(dataset: Dataset) -> str:
    """What was read, repaired and passed over, with counts, reasons and the whole list to download."""
    found = repair_report(dataset)
    rows: list[tuple[str, str, str, list[str]]] = [("read", f"{found['pictures']:,}", "pictures", [])]
    rows += [("repaired", f"{one['count']:,}", one["what"], one["paths"]) for one in found["repaired"]]
    rows += [
        ("unreadable" if one["corrupt"] else "passed over", f"{one['count']:,}", one["why"], one["paths"])
        for one in found["skipped"]
    ]
    listed = "".join(_reason(*row) for row in rows)
    notes = "".join(f"<li>{esc(note)}</li>" for note in found["notes"])
    document = json.dumps(found, ensure_ascii=False, indent=1)
    links = (
        f'<p class="tz-note tz-gap">The whole list: <a download="report.csv" '
        f'href="{_address("text/csv", repair_csv(dataset))}">CSV</a>, <a download="report.json" '
        f'href="{_address("application/json", document)}">JSON</a></p>'
    )
    above = f'<ul class="tz-list tz-notes">{notes}</ul>' if notes else ""
    return kit.panel("What became of every file", f'{above}<ul class="tz-list" tabindex="0">{listed}</ul>{links}')


def _reason(outcome: str, count: str, why: str, paths: list[str]) -> str:
    some = ", ".join(f"<code>{esc(path)}</code>" for path in paths[:SHOWN])
    more = "…" if len(paths) > SHOWN else ""
    tone = {"unreadable": "bad", "passed over": "warn"}.get(outcome, "")
    return f'<li><span class="tz-badge {tone}">{outcome}</span> <b>{count}</b> {esc(why)} {some}{more}</li>'


def _address(kind: str, text: str) -> str:
    content = io.BytesIO(text.encode()).getvalue()
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(content).decode()}"
