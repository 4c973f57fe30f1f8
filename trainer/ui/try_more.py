"""Below an answer: where the classifier looked, and "that's wrong", which puts the picture into the dataset."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from trainer import corrections
from trainer.explain import by_chance, deletion, occlusion
from trainer.explaining import by_hiding, from_inside, in_child, resembles
from trainer.runs import Runs
from trainer.served import Served
from trainer.ui.asked import Asked, png
from trainer.ui.looked_view import looked_html, resembles_html
from trainer.ui.shelf import Shelf
from trainer.ui.try_view import solved_html
from zoo import saved
from zoo.dataset import Dataset
from zoo.errors import StudioError
from zoo.network import fit
from zoo.pictures import Pictures
from zoo.settings import Settings
from zoo.store import Store, read_json
from zoo.ui import kit
from zoo.ui.watch import watched

FIRST = kit.say("Ask about a picture first.", "wait")
NO_INSIDE = kit.say("This kind of network has no map from inside.")
INSIDE = "Looking inside, and once more with shuffled weights"
INTO = "Putting it into the dataset"


@dataclass(frozen=True)
class Corrected:
    """What an undo needs."""

    run: str
    sha: str
    before: str


class More:
    """What the buttons below an answer do."""

    def __init__(self, store: Store, settings: Settings, runs: Runs, shelf: Shelf) -> None:
        self._store, self._settings, self._runs, self._shelf = store, settings, runs, shelf

    def explain(self, asked: Asked | None) -> Iterator[str]:
        """Occlusion at once, without torch; then what a process with torch sees inside."""
        if asked is None:
            yield FIRST
            return
        try:
            yield from self._explained(asked)
        except StudioError as error:
            yield kit.say(str(error), "bad")

    def _explained(self, asked: Asked) -> Iterator[str]:
        folder = self._runs.classifier(asked.run)
        classifier = self._shelf.get(folder)
        yield kit.bar(0.1, "Hiding one part of it after another")
        if isinstance(classifier, Served):
            yield from self._by_engine(asked, folder, classifier)
            return
        prepared, label = fit(asked.picture, saved.preprocessing(folder)), asked.answer.label
        with _file(png(asked.picture)) as path:
            for told in in_child(["explain", str(folder), str(path), f"--label={label}"], self._settings):
                if isinstance(told, str):
                    yield kit.bar(0.5, f"{INSIDE}: {told}")
                    continue
                near, last = self._near(asked.run, told["resembles"]), "" if told["maps"][1:] else NO_INSIDE
                yield _both(looked_html(prepared, label, told["maps"], last), near)

    def _by_engine(self, asked: Asked, folder: Path, classifier: Served) -> Iterator[str]:
        """Each map and test as soon as it is there: answers by the quick engine, the look inside by a warm process."""
        insider = self._shelf.insider(folder)  # torch wakes while parts are hidden
        prepared, label = fit(asked.picture, classifier.preprocessing), asked.answer.label
        index, ask = classifier.classes.index(label), classifier.prepared
        heat = occlusion(ask, prepared, index)
        maps = [by_hiding(heat)]
        near = resembles(self._runs.folder(asked.run), self._store, classifier.answer(asked.picture)[2])
        below = self._near(asked.run, near)
        yield _both(looked_html(prepared, label, maps, kit.bar(0.5, "Testing it")), below)
        chance = by_chance(ask, prepared, index)
        maps = [maps[0] | {"deletion": deletion(ask, prepared, index, heat, chance)}]
        yield _both(looked_html(prepared, label, maps, kit.bar(0.7, INSIDE)), below)
        found = insider.inside(prepared, index)
        if found["heat"] is None:
            yield _both(looked_html(prepared, label, maps, NO_INSIDE), below)
            return
        seen = np.asarray(found["heat"], dtype=np.float64)
        maps.append(from_inside(found, heat) | {"deletion": deletion(ask, prepared, index, seen, chance)})
        yield _both(looked_html(prepared, label, maps), below)

    def _near(self, run_id: str, near: list[dict[str, Any]]) -> str:
        plan = self._runs.read(run_id).plan
        try:
            pictures = Pictures.open(self._store, Dataset.load(self._store, plan.dataset)) if plan and near else None
        except StudioError:  # its pictures are gone; its labels alone say little
            pictures = None
        return resembles_html(near, pictures)

    def correct(self, asked: Asked | None, label: str, seat: str) -> Iterator[tuple[str, str, Corrected | None]]:
        """(What to show, the dataset's new revision or "", what an undo needs) as it goes on."""
        if asked is None:
            yield FIRST, "", None
            return
        try:
            self._store.owners.private("Correcting")
            name, run = corrections.named(label), self._runs.folder(asked.run)
            before = corrections.base(run, seat, self._store)
            undo = Corrected(asked.run, corrections.hashed(asked.content), before.id)
            classifier = self._shelf.get(self._runs.classifier(asked.run))
            steps = (
                self._at_once(asked, name, run, before, classifier)
                if isinstance(classifier, Served) and corrections.frozen(run)
                else self._in_child(asked, name, before)
            )
            for shown, revision in steps:
                yield shown, revision, undo if revision else None
        except StudioError as error:
            yield kit.say(str(error), "bad"), "", None

    def _at_once(
        self, asked: Asked, name: str, run: Path, before: Dataset, classifier: Served
    ) -> Iterator[tuple[str, str]]:
        """The last layer reads frozen features, so the probe is solved here and now; the dataset follows."""
        sha, row = corrections.hashed(asked.content), classifier.answer(asked.picture)[2]
        found = corrections.solve(before, corrections.kept(run, self._store), sha, row, name).as_json()
        shown = solved_html(found, name)
        yield _both(kit.bar(0.2, INTO), shown), ""

        def work(told: Any) -> Dataset:
            return corrections.take(before, asked.content, name, self._store, self._settings, told)

        for report, after in watched(work):
            if report:
                _, done, total = report
                yield _both(kit.bar(done / total if total else 0.2, INTO), shown), ""
            if after is not None:
                corrections.remember(run, sha, row)
                yield _both(kit.say(_done(after), "good"), shown), after.id

    def _in_child(self, asked: Asked, name: str, before: Dataset) -> Iterator[tuple[str, str]]:
        """The layers below were trained, too: the frozen backbone must be asked, by a process of its own."""
        yield kit.bar(0.1, INTO), ""
        with _file(asked.content) as path:
            line = ["correct", asked.run, str(path), f"--label={name}", f"--dataset={before.id}"]
            for told in in_child(line, self._settings):
                if isinstance(told, str):
                    yield kit.bar(0.5, told), ""
                    continue
                self._store.owners.claim("datasets", told["dataset"])
                after = Dataset.load(self._store, told["dataset"])
                probe = solved_html(told["probe"], name) if told["probe"] else kit.say(told["why"], "wait")
                yield _both(kit.say(_done(after), "good"), probe), after.id

    def undo(self, corrected: Corrected) -> str:
        """The dataset as it was; the revision stays where it is, unused."""
        corrections.forget(self._runs.folder(corrected.run), corrected.sha)
        return corrected.before


def choices(runs: Runs, run_id: str) -> list[str]:
    """The classes that a picture can turn out to be."""
    facts = read_json(runs.classifier(run_id) / saved.FACTS) or {}
    return list(facts.get("classes", []))


def update(shown: str, revision: str, undo: Corrected | None) -> list[Any]:
    """Updates of: what is shown, the seat's dataset, what an undo needs, and the row of buttons for that."""
    return [shown, revision or gr.skip(), undo or gr.skip(), gr.Row(visible=bool(revision))]


def _done(after: Dataset) -> str:
    return (
        f"{after.change} It is revision {after.id[:6]} of the dataset, {len(after):,} pictures; the one before stays."
    )


def _both(first: str, second: str) -> str:
    return f'<div class="tz-stack">{first}{second}</div>'


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    """``content`` as a file for another process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("picture.jpg" if content.startswith(b"\xff\xd8\xff") else "picture.png")
        path.write_bytes(content)
        yield path
