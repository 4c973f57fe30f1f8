"""Exports made for the page: each by a process of its own, which outlives the page and brings torch where it is needed.

``takeaway/RUN-FORMAT`` below the store holds the export, ``classifier-FORMAT``, and what its process said.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trainer.exports import export
from trainer.runs import Runs
from zoo.background import ROOT, identity, living
from zoo.errors import BadExport
from zoo.settings import child_environment
from zoo.store import Store, read_json, write_json


@dataclass(frozen=True)
class Takeout:
    """How an export stands; ``problem`` where it failed, ``found`` what the command printed once it is ready."""

    state: Literal["none", "making", "ready", "failed"]
    found: dict[str, Any]
    problem: str = ""


class Takeouts:
    """The exports of a store's runs. Several pages may each have one of these on the same store."""

    def __init__(self, store: Store, runs: Runs) -> None:
        self._store, self._runs = store, runs

    def start(self, run_id: str, form: str) -> None:
        """Begin to make an export, unless it is being made or there already.

        Raises:
            NotFound: there is no such run, or it has no classifier.
            BadExport: there is no such format, or it goes to a hub, which the command line does.
        """
        self._store.owners.private("Exporting")
        classifier, place = self._runs.classifier(run_id), self._place(run_id, form)
        with self._store.lock(f"takeaway-{place.name}"):
            if self.read(run_id, form).state in ("making", "ready"):
                return
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            with (place / "said.json").open("wb") as said, (place / "log.txt").open("wb") as log:
                process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "trainer", "export", str(classifier), "--format", form, "--json"),
                        *("--to", str(place / f"classifier-{form}"), "--home", str(self._store.root)),
                    ],
                    cwd=ROOT, env=child_environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
            write_json(place / "process.json", identity(process.pid))
        threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie behind

    def read(self, run_id: str, form: str) -> Takeout:
        """How the export of a run stands.

        Raises:
            NotFound: there is no such run.
            BadExport: there is no such format.
        """
        place = self._place(run_id, form)
        found = read_json(place / "said.json")
        if isinstance(found, dict):
            return Takeout("ready", found)
        known = read_json(place / "process.json")
        if known is None:
            return Takeout("none", {})
        if living(known):
            return Takeout("making", {})
        lines = (place / "log.txt").read_text(errors="replace").strip().splitlines()
        return Takeout("failed", {}, (lines or ["It ended without a word."])[-1][:400])

    def wait(self, run_id: str, form: str, seconds: float = 600) -> Takeout:
        """The same once it is no longer being made."""
        pause = threading.Event()
        for _ in range(int(seconds / 0.25)):
            now = self.read(run_id, form)
            if now.state != "making":
                return now
            pause.wait(0.25)
        return self.read(run_id, form)

    def packed(self, run_id: str, form: str, into: Path) -> Path:
        """A ready export as one zip file in the folder ``into``.

        Raises:
            BadExport: it is not ready.
        """
        now = self.read(run_id, form)
        if now.state != "ready":
            raise BadExport(now.problem or "That export is not made yet.", "Make it first.")
        content = self._place(run_id, form) / f"classifier-{form}"
        path = into / f"{content.name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
            for file in sorted(content.rglob("*")):
                if file.is_file():
                    bundle.write(file, f"{content.name}/{file.relative_to(content)}")
        return path

    def _place(self, run_id: str, form: str) -> Path:
        if export(form).remote:
            line = f"python -m trainer export {run_id} --format {form} --to OWNER/NAME"
            raise BadExport("The page pushes nothing: it has no token of yours.", f"In a shell: {line}")
        return self._store.root / "takeaway" / f"{self._runs.folder(run_id).name}-{form}"
