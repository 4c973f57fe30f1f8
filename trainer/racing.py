"""`python -m trainer race` and `symmetry`, and the processes that do them for the page."""

from __future__ import annotations

import argparse
import hashlib
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainer import symmetry
from trainer.races import ENDED, Races, ride
from zoo.background import identity, living, spawn
from zoo.command import Command, positive, tell, whole
from zoo.compare import EMBEDDED
from zoo.dataset import Dataset
from zoo.errors import BadPlan
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store, read_json, write_json

SHOWN = (
    "id",
    "dataset",
    "backbone",
    "seed",
    "arms",
    "unavailable",
    "winner",
    "verdict",
    "mid_p",
    "over",
    "gain",
    "took",
)


def run_race(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Race the strategies on DATA and watch to the end; interrupting the command ends the race."""
    store = Store(settings.home)
    dataset = intake(chosen.data, store, settings)
    races, told = Races(store, settings), ""
    name = races.start(dataset.id, chosen.backbone, chosen.budget, chosen.seed)
    try:
        while (found := races.read(name))["state"] not in ENDED:
            line = "{message} {progress[done]}/{progress[total]}".format(**found)
            if line != told:
                tell(told := line)
            time.sleep(0.3)
    except KeyboardInterrupt:
        races.stop(name)
        raise
    if found["state"] != "finished":
        raise BadPlan(found["message"], f"Its log: {races.root / name / 'log.txt'}.")
    return {key: found[key] for key in SHOWN if key in found}


def racing(chosen: argparse.Namespace, settings: Settings) -> None:
    """Be the process of one race; the page and the command line start it."""
    ride(chosen.folder, Store(settings.home), settings)


def tried(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Whether mirroring and turning do harm on DATA."""
    store = Store(settings.home)
    dataset = intake(chosen.data, store, settings)
    return _told(symmetry.measure(dataset, chosen.backbone, store, settings))


def trying(chosen: argparse.Namespace, settings: Settings) -> None:
    """Be the process that tries them for the page: DATASET:BACKBONE."""
    dataset, _, backbone = chosen.subject.partition(":")
    store = Store(settings.home)
    if symmetry.known(dataset, backbone, settings) is None:
        symmetry.measure(Dataset.load(store, dataset), backbone, store, settings)


def try_symmetry(dataset: str, backbone: str, settings: Settings) -> bool:
    """See to it that a process tries mirroring and turning; false where one has tried and could not."""
    folder = Store(settings.home).root / "symmetry"
    folder.mkdir(exist_ok=True)
    key = hashlib.sha256(f"{dataset}:{backbone}".encode()).hexdigest()[:24]
    begun = read_json(folder / f"{key}-process.json")
    if begun is None:
        process = spawn("trying", f"{dataset}:{backbone}", settings.home, folder / "log.txt", "trainer")
        threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie behind
        write_json(folder / f"{key}-process.json", identity(process.pid))
        return True
    return living(begun) is not None


def _told(found: symmetry.Symmetry) -> dict[str, Any]:
    trials = {"mirrored": found.mirrored, "turned": found.turned}
    return {name: asdict(one) | {"harmless": one.harmless, "why": one.sentence} for name, one in trials.items()}


def _raced(found: dict[str, Any]) -> str:
    lines = [f"{'strategy':<16} {'right':>7}  {'95 % interval':<15} {'judged on':>9} {'seconds':>8}  learning rate"]
    for arm in found["arms"]:
        low, high = (f"{bound:.1%}" for bound in arm["interval"])
        out = f"  out: {arm['why']}" if arm["why"] else ""
        tried = len(arm.get("rates", ()))
        rate = f"{arm['learning_rate']:.2g}, best of {tried}" if tried > 1 else ""
        lines.append(
            f"{arm['strategy']:<16} {arm['accuracy']:>7.1%}  {f'{low}–{high}':<15} {arm['pictures']:>9}"
            f" {arm['seconds']:>8.1f}  {rate:<20}{out}".rstrip()
        )
    lines += [f"{arm['strategy']:<16} did not run: {arm['why']}" for arm in found["unavailable"]]
    return "\n".join([*lines, "", found["verdict"]])


def _race_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="a folder of class folders, a .zip or .tar of one, or: sample")
    parser.add_argument("--backbone", metavar="ID", help="source/name; else the advice of the last comparison")
    parser.add_argument("--budget", type=positive, metavar="SECONDS", help="what training all arms may take in all")
    parser.add_argument("--seed", type=whole, metavar="S")


def _takes_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", type=Path)


def _symmetry_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="a folder of class folders, a .zip or .tar of one, or: sample")
    parser.add_argument(
        "--backbone", metavar="ID", default=EMBEDDED[0], help="source/name; the smallest one unless given"
    )


def _takes_subject(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="DATASET:BACKBONE")


COMMANDS = (
    Command(
        name="symmetry",
        help="whether mirroring and turning do harm on DATA",
        call=tried,
        show=lambda found: "\n".join(one["why"] for one in found.values()),
        arguments=_symmetry_arguments,
    ),
    Command(name="trying", help="be the process that tries them", call=trying, arguments=_takes_subject),
    Command(name="race", help="strategies against each other", call=run_race, show=_raced, arguments=_race_arguments),
    Command(name="racing", help="be the process of one race", call=racing, arguments=_takes_folder),
)
