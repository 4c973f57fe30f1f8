"""Comparisons in the background: each in a process of its own that writes what it finds where anyone can read it.

The page stays light and quick. Neither a reload nor the death of the page stops a comparison: it goes on to its end.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from zoo.background import identity, living, spawn
from zoo.compare import EMBEDDED, Question, compare
from zoo.dataset import Dataset
from zoo.errors import BadPlan, NotFound, StudioError
from zoo.nodes import joined
from zoo.owners import HOUR, PUBLIC_AN_HOUR, PUBLIC_BACKBONES, PUBLIC_PICTURES, PUBLIC_SECONDS
from zoo.settings import Settings
from zoo.store import Store, checked_id, new_id, read_json, write_json

STARTING = 20.0  # seconds a comparison may take to write its first word


class Comparisons:
    """The comparisons of one store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._children: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        dataset: str,
        backbones: Sequence[str] = EMBEDDED,
        budget: float | None = None,
        seed: int = 0,
        limit: int | None = None,
    ) -> str:
        """Begin a comparison and return its id.

        Raises:
            NotFound: there is no such dataset.
            BadPlan: no backbone is named, or too many.
        """
        Dataset.load(self._store, dataset)
        if seed < 0 or (limit is not None and limit < 1):
            raise BadPlan(f"The seed is {seed} and the limit {limit}.", "A seed is 0 or more, a limit 1 or more.")
        if not 1 <= len(backbones) <= 40:
            raise BadPlan(f"{len(backbones)} backbones are named.", "Name between 1 and 40.")
        comparison = new_id()
        folder = self._store.comparisons / comparison
        with self._store.lock("asking"):  # two calls at once do not both find room
            budget, limit = self._within(backbones, budget, limit)
            self._store.owners.claim("comparisons", comparison)
            question = Question(backbones=tuple(backbones), budget=budget, seed=seed, limit=limit)
            write_json(folder / "question.json", {"dataset": dataset, "at": time.time(), "question": asdict(question)})
        self._spawn(folder)
        return comparison

    def keep(self, question: Question, found: dict[str, Any]) -> None:
        """Remember a comparison that was made elsewhere, so that a plan can follow its advice."""
        folder = self._store.comparisons / new_id()
        write_json(folder / "answer.json", found | {"state": "finished", "message": found["sentence"]})
        asked = {"dataset": found["dataset"], "at": time.time(), "question": asdict(question)}
        write_json(folder / "question.json", asked)

    def read(self, comparison: str) -> dict[str, Any]:
        """The comparison as it stands: what ``Comparison.as_json`` gives, with state, message, progress and ``asked``.

        Raises:
            NotFound: there is none with that id.
        """
        folder = self._folder(comparison)
        asked = read_json(folder / "question.json")
        found = read_json(folder / "answer.json") or {
            "state": "running",
            "message": "Starting.",
            "progress": {"stage": "start", "done": 0, "total": 1},
            "dataset": asked["dataset"],
            "backbones": [],
        }
        if found["state"] == "running" and (folder / "STOP").exists():
            found |= {"state": "stopped", "message": "Stopped. What was measured is kept."}
        if found["state"] == "running" and not self._alive(folder, asked["at"]):
            found |= {"state": "failed", "message": "The comparison ended early. Compare again: what it knew is kept."}
        return {"id": comparison, "asked": list(asked["question"]["backbones"])} | found

    def list(self) -> list[str]:
        """Ids of all comparisons, newest first."""
        names = [path.parent.name for path in self._store.comparisons.glob("*/question.json")]
        mine = [name for name in names if self._store.owners.holds("comparisons", name)]
        at = {name: (read_json(self._store.comparisons / name / "question.json") or {"at": 0})["at"] for name in mine}
        return sorted(mine, key=lambda name: -at[name])

    def latest(self, dataset: str) -> dict[str, Any] | None:
        """The newest finished comparison of a dataset."""
        for comparison in self.list():
            found: dict[str, Any] | None = read_json(self._store.comparisons / comparison / "answer.json")
            if found and found.get("dataset") == dataset and found["state"] == "finished":
                return {"id": comparison} | found
        return None

    def stop(self, comparison: str) -> None:
        """End it; features it computed are kept."""
        folder = self._folder(comparison)
        (folder / "STOP").touch()  # a process that is only starting sees it
        process = _process(folder)
        if process is not None:
            process.terminate()

    def _folder(self, comparison: str) -> Path:
        folder = self._store.comparisons / checked_id(comparison, "comparison")
        if not (folder / "question.json").is_file() or not self._store.owners.holds("comparisons", comparison):
            raise NotFound(f"There is no comparison {comparison!r}.", "Compare again.")
        return folder

    def _within(
        self, backbones: Sequence[str], budget: float | None, limit: int | None
    ) -> tuple[float | None, int | None]:
        """Budget and limit as whoever asks may have them; what they may not have at all is refused."""
        owners = self._store.owners
        for one in backbones:
            owners.check_backbone(one, self._store.runs)
        if not owners.public:
            return budget, limit
        if len(backbones) > PUBLIC_BACKBONES:
            raise BadPlan(f"{len(backbones)} backbones are named.", f"This public page compares {PUBLIC_BACKBONES}.")
        asked = [
            read_json(self._store.comparisons / name / "question.json") or {} for name in owners.own("comparisons")
        ]
        if sum(time.time() - one.get("at", 0) < HOUR for one in asked) >= PUBLIC_AN_HOUR:
            raise BadPlan(f"These were {PUBLIC_AN_HOUR} comparisons in an hour.", "Come back in a while.")
        if any(self.read(name)["state"] == "running" for name in owners.own("comparisons")[-PUBLIC_AN_HOUR * 24 :]):
            raise BadPlan("A comparison of yours is running.", "Wait until it has ended, or stop it.")
        return min(budget or PUBLIC_SECONDS, PUBLIC_SECONDS), min(limit or PUBLIC_PICTURES, PUBLIC_PICTURES)

    def _spawn(self, folder: Path) -> None:
        self._children = [child for child in self._children if child.poll() is None]
        self._children.append(spawn("answer", str(folder), self._settings.home, folder / "log.txt"))

    def _alive(self, folder: Path, asked_at: float) -> bool:
        self._children = [child for child in self._children if child.poll() is None]
        if not (folder / "process.json").is_file():
            return time.time() - asked_at < STARTING
        return _process(folder) is not None


def answer(folder: Path, store: Store, settings: Settings) -> None:
    """Be the process of the comparison in ``folder``: one at a time on this machine, so that timings mean something."""
    write_json(folder / "process.json", identity())
    if (folder / "STOP").exists():
        return
    asked = read_json(folder / "question.json")
    tell = _Teller(folder / "answer.json", asked["dataset"])
    tell.now(message="Waiting for another comparison to end.")
    asked_at = time.time()
    try:
        with store.lock("comparing"):
            waited = time.time() - asked_at
            tell.now(message="Loading what is needed.")
            dataset = Dataset.load(store, asked["dataset"])
            question = Question(**asked["question"] | {"backbones": tuple(asked["question"]["backbones"])})
            with joined(settings) as nodes:
                spent = running() - waited
                for found in compare(dataset, question, store, settings, tell.progress, spent, nodes):
                    tell.now(found=found.as_json())
        tell.now(state="finished", message=tell.value["sentence"])
    except StudioError as error:
        tell.now(state="failed", message=str(error))


def running() -> float:
    """Seconds since this process began: its start and the reading of the pictures count against a budget."""
    return max(0.0, time.time() - float(psutil.Process().create_time()))


class _Teller:
    """Writes the answer as it grows, progress at most twice a second."""

    def __init__(self, path: Path, dataset: str) -> None:
        self.value: dict[str, Any] = {"state": "running", "dataset": dataset, "backbones": []}
        self._path = path
        self._told = 0.0

    def now(self, found: dict[str, Any] | None = None, **changes: Any) -> None:
        self.value |= (found or {}) | changes
        self._told = time.monotonic()
        write_json(self._path, self.value)

    def progress(self, stage: str, done: int, total: int) -> None:
        self.value |= {
            "progress": {"stage": stage, "done": done, "total": total},
            "message": f"{stage.partition('/')[2]} is looking at the pictures",
        }
        if time.monotonic() - self._told > 0.5:
            self.now()


def _process(folder: Path) -> psutil.Process | None:
    return living(read_json(folder / "process.json"))
