"""Races in the background: each in a process of its own, started, read, stopped; what was run is kept for the next."""

from __future__ import annotations

import subprocess
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.heats import Course, Interrupted
from trainer.plan import Plan
from trainer.plans import START, suggest
from trainer.race import FOLDS, HEATS, race
from trainer.strategies import strategies
from trainer.symmetry import AS_THEY_ARE, tried
from zoo.background import identity, living, spawn
from zoo.comparisons import Comparisons
from zoo.dataset import Dataset
from zoo.errors import BadPlan, NotFound, StudioError
from zoo.features import Extractor
from zoo.settings import Settings
from zoo.store import Store, checked_id, new_id, read_json, write_json

STARTING = 30.0  # seconds a race may take to write its first word
PASSES = 3  # over the pictures, that the costliest arm gets in each heat; the others get its seconds
LONGEST = 90.0  # seconds a heat may take where no budget is given
ENDED = ("finished", "stopped", "failed")


def entrants(
    dataset: Dataset,
    settings: Settings,
    comparison: Mapping[str, Any] | None = None,
    backbone: str | None = None,
    budget: float | None = None,
    seed: int | None = None,
) -> list[Plan]:
    """A plan for each strategy that this backbone offers, each with the same seconds a heat, the cheapest first.

    Args:
        budget: seconds that the whole race may take where nothing drops out.

    Raises:
        BadPlan: fewer than two strategies can be carried out.
        BackboneUnavailable: the backbone has no card.
    """

    def plan(name: str, **changes: Any) -> Plan:
        return suggest(comparison, dataset, settings, backbone=backbone, strategy=name, seed=seed, **changes)

    fewest: dict[str, Plan] = {}
    refused: BadPlan | None = None
    for name in strategies():
        try:
            fewest[name] = plan(name, epochs=1)
        except BadPlan as error:  # not for this backbone
            refused = error
    if len(fewest) < 2:
        raise refused or BadPlan("There is nothing to race.", "Choose a backbone that can be trained.")
    costliest = max(_seconds(plan(name, epochs=PASSES)) for name in fewest)
    allotted = _share(budget, list(fewest.values())) if budget else min(costliest, LONGEST)
    plans = []
    for name, least in fewest.items():

        def costs(epochs: int, name: str = name) -> float:
            return _seconds(plan(name, epochs=epochs))

        most = bisect_right(range(1, plan(name).epochs + 1), allotted, key=costs)  # each costs more than the one before
        chosen = plan(name, epochs=most) if most > 1 else least
        plans.append(replace(chosen, budget_seconds=max(1.0, round(allotted, 1))))
    return sorted(plans, key=lambda one: one.predicted_seconds or 0.0)


def _share(budget: float, plans: Sequence[Plan]) -> float:
    """Seconds a heat of those that learn by steps, of ``budget`` less what the others take, who need no more."""
    fitted = [plan for plan in plans if plan.strategy in AS_THEY_ARE]
    left = budget - FOLDS * sum(map(_seconds, fitted))
    return max(left / max(len(plans) - len(fitted), 1) / HEATS, budget / len(plans) / HEATS)


def _seconds(plan: Plan) -> float:
    """What a heat of it should take: the start of a worker is not paid for in each."""
    return max(0.0, (plan.predicted_seconds or 0.0) - START * (plan.predicted_scale or 1.0))


class Races:
    """The races of one store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def root(self) -> Path:
        path = self._store.root / "races"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(
        self, dataset: str, backbone: str | None = None, budget: float | None = None, seed: int | None = None
    ) -> str:
        """Begin a race on the advice of the latest comparison and return its id.

        Raises:
            NotFound: there is no such dataset.
            BadPlan, BackboneUnavailable: as ``entrants`` says.
        """
        self._store.owners.private("Racing")
        data = Dataset.load(self._store, dataset)
        advice = Comparisons(self._store, self._settings).latest(dataset)
        plans = entrants(data, self._settings, advice, backbone, budget, seed)
        name = new_id()
        self._store.owners.claim("races", name)
        most = sum(_seconds(plan) * (FOLDS if plan.strategy in AS_THEY_ARE else HEATS) for plan in plans)
        told = [plan.as_json() for plan in plans]
        asked = {"dataset": dataset, "at": time.time(), "plans": told, "most_seconds": most, "budget": budget}
        write_json(self.root / name / "question.json", asked)
        self._children = [child for child in self._children if child.poll() is None]
        log = self.root / name / "log.txt"
        self._children.append(spawn("racing", str(self.root / name), self._settings.home, log, "trainer"))
        return name

    def read(self, name: str) -> dict[str, Any]:
        """The race as it stands: arms, winner, verdict and mid_p, with state, message and progress.

        Raises:
            NotFound: there is none with that id.
        """
        folder = self._folder(name)
        asked = read_json(folder / "question.json")
        plans: Sequence[Mapping[str, Any]] = asked["plans"]
        found = {
            "state": "running",
            "message": "Starting.",
            "dataset": asked["dataset"],
            "backbone": plans[0]["backbone"],
            "seed": plans[0]["seed"],
            "entrants": [plan["strategy"] for plan in plans],
            "progress": {"done": 0, "total": 1},
            "arms": [],
            "unavailable": [],
            "winner": None,
            "verdict": "",
            "mid_p": None,
            "gain": None,
            "took": 0.0,
            "most_seconds": asked.get("most_seconds"),
        } | (read_json(folder / "answer.json") or {})
        if found["state"] == "running" and (folder / "STOP").exists():
            found |= {"state": "stopped", "message": "Stopped. What was run is kept: a new race starts from there."}
        if found["state"] == "running" and not self._alive(folder, asked["at"]):
            found |= {"state": "failed", "message": "The race ended early. Race again: what was run is kept."}
        return {"id": name} | found

    def list(self) -> list[str]:
        """Ids of all races, newest first."""
        asked = [(read_json(path) or {"at": 0}, path.parent.name) for path in self.root.glob("*/question.json")]
        newest = [name for question, name in sorted(asked, key=lambda pair: -pair[0]["at"])]
        return [name for name in newest if self._store.owners.holds("races", name)]

    def latest(self, dataset: str, backbone: str | None = None, state: str = "") -> dict[str, Any] | None:
        """The newest race of a dataset, of this backbone and in this state where they are given."""
        for name in self.list():
            found = self.read(name)
            if found["dataset"] == dataset and backbone in (None, found["backbone"]) and state in ("", found["state"]):
                return found
        return None

    def stop(self, name: str) -> None:
        """End it; heats that were run are kept."""
        folder = self._folder(name)
        (folder / "STOP").touch()  # a process that is only starting sees it
        process = living(read_json(folder / "process.json"))
        if process is not None:
            process.terminate()

    def _folder(self, name: str) -> Path:
        folder = self.root / checked_id(name, "race")
        if not (folder / "question.json").is_file() or not self._store.owners.holds("races", name):
            raise NotFound(f"There is no race {name!r}.", "Race again.")
        return folder

    def _alive(self, folder: Path, asked_at: float) -> bool:
        self._children = [child for child in self._children if child.poll() is None]
        if not (folder / "process.json").is_file():
            return time.time() - asked_at < STARTING
        return living(read_json(folder / "process.json")) is not None


def ride(folder: Path, store: Store, settings: Settings) -> None:
    """Be the process of the race in ``folder``: one at a time on this machine, so that seconds mean something."""
    from zoo.forward import keep_freed_memory, use_threads

    write_json(folder / "process.json", identity())
    asked, begun = read_json(folder / "question.json"), time.perf_counter()
    plans = [Plan.from_json(value) for value in asked["plans"]]
    answer: dict[str, Any] = {"state": "running", "message": "Waiting for another race to end.", "arms": []}

    def say(**changes: Any) -> None:
        answer.update(changes, took=time.perf_counter() - begun)
        write_json(folder / "answer.json", answer)

    say()
    try:
        with store.lock("racing"):
            if (folder / "STOP").exists():
                return
            say(message="Reading what the frozen network sees.")
            keep_freed_memory()
            use_threads(settings.threads)
            course = _course(plans[0], asked["dataset"], folder, store, settings)
            plans = [_harmless(plan, course) for plan in plans]

            def told(name: str, done: int, total: int) -> None:
                say(message=f"Heats: {name.replace('_', ' ')}", progress={"done": done, "total": total})

            for arms, decided in race(plans, course, told, asked.get("budget")):
                rows = [arm.as_json(course.groups) for arm in arms]
                unable = [row for row in rows if row["why"] and row["accuracy"] is None]
                say(arms=[row for row in rows if row not in unable], unavailable=unable, **decided.as_json())
        say(state="finished", message=answer["verdict"])
    except Interrupted:
        say(state="stopped", message="Stopped. What was run is kept: a new race starts from there.")
    except StudioError as error:
        say(state="failed", message=str(error))


def _harmless(plan: Plan, course: Course) -> Plan:
    """``plan``, mirroring and turning only where that does no harm."""
    found = tried(course.dataset, plan.backbone, plan.strategy, course.store, course.settings)
    return replace(plan, **found.fields) if found and plan.strategy not in AS_THEY_ARE else plan


def _course(plan: Plan, dataset: str, folder: Path, store: Store, settings: Settings) -> Course:
    """Where the race is run, its frozen features known, so that no arm pays for the others."""
    from zoo import sources

    data = Dataset.load(store, dataset)
    stop = (folder / "STOP").exists
    course = Course(data, store, settings, folder.parent, stop, FOLDS, plan.seed)
    extractor = Extractor(sources.card(plan.backbone, settings), data, store, settings, expected=len(data))
    seen = extractor.rows(course.pool)
    import sklearn.linear_model  # noqa: F401 - so that no arm pays for loading it

    sources.load(plan.backbone, settings)  # nor for torch
    return replace(course, forward_seconds=seen.ms_per_picture / 1000)
