"""What ``python -m trainer`` can do with runs. Each command is thin: it calls what the page calls."""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from trainer.events import Failed
from trainer.exhausted import exhausted
from trainer.folder import RunFolder
from trainer.processes import die_with_launcher
from trainer.runs import Runs
from zoo.command import Command
from zoo.errors import BadPlan, StudioError
from zoo.settings import Settings, launched_rank
from zoo.store import Store


def work(chosen: argparse.Namespace, settings: Settings) -> None:
    """Be the worker of one run; the engines start it."""
    from trainer.work import work as carry_out

    folder = RunFolder(chosen.run_dir.absolute())
    rank = launched_rank()
    if rank is not None:
        die_with_launcher(folder.path)
    if hasattr(os, "nice"):
        os.nice(5)  # the page stays quick beside it
    if rank:
        carry_out(folder.path, settings)
        return
    with _alone(folder):
        with _telling(folder):
            carry_out(folder.path, settings)
        _make_quick(folder, settings)


@contextmanager
def _alone(folder: RunFolder) -> Iterator[None]:
    """Never two workers in one folder, and none that is no run's: nothing is left there."""
    if not folder.path.is_dir():
        raise BadPlan(f"There is no run in {str(folder.path)!r}.", "Give the folder of a run.")
    try:
        with FileLock(folder.path / ".lock", timeout=10):
            yield
    except Timeout:
        raise BadPlan("Another worker is at this run.", "Wait for it, or stop the run first.") from None


@contextmanager
def _telling(folder: RunFolder) -> Iterator[None]:
    """Whatever a person can be told of its end becomes the run's last event; a bug ends in ``log.txt``."""
    try:
        folder.plan()
        yield
    except (StudioError, OSError, MemoryError, RuntimeError) as error:
        told = error if isinstance(error, StudioError) else exhausted(error)
        if told is None:
            raise
        _tell_failure(folder, told)
        raise told from error


def _make_quick(folder: RunFolder, settings: Settings) -> None:
    """Let the classifier answer without torch, so that the page waits for nothing; the run has told its end already."""
    from trainer.served import make

    with suppress(StudioError, OSError, MemoryError, RuntimeError):  # then the page makes it so, or says why not
        if folder.classifier.is_dir():
            make(Store(settings.home), folder.classifier, settings.threads)


def _tell_failure(folder: RunFolder, told: StudioError) -> None:
    """Where the disk has no room even for that, the exit status says it."""
    try:
        folder.log.append(Failed(problem=told.problem, remedy=told.remedy))
    except OSError as error:
        if exhausted(error) is None:
            raise
        raise SystemExit(errno.ENOSPC) from error


def drive(chosen: argparse.Namespace, settings: Settings) -> None:
    """See one run through on a cluster; the engine ray starts it."""
    from trainer.driving import drive as see_through

    folder = RunFolder(chosen.run_dir.absolute())
    with _alone(folder):
        with _telling(folder):
            see_through(folder, settings)
        _make_quick(folder, settings)


def supervise(_: argparse.Namespace, settings: Settings) -> None:
    """Start queued runs until there is nothing left to do; a second supervisor leaves at once."""
    from trainer.engines import engines
    from trainer.slots import Slots
    from trainer.supervisor import Supervisor
    from trainer.trash import clear

    store = Store(settings.home)
    clear(store, settings.cluster_storage)  # beside its work: a storage may take its time
    Supervisor(store, engines(), Slots.of(settings)).serve()


def list_runs(chosen: argparse.Namespace, settings: Settings) -> list[dict[str, Any]]:
    runs = Runs(Store(settings.home), settings)
    return [run.as_json() for run in (runs.trash() if chosen.trash else runs.list())]


def record(_: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """What was foretold of the finished runs against what they achieved."""
    from zoo.comparisons import Comparisons
    from zoo.record import outcomes
    from zoo.record import record as judged

    store = Store(settings.home)
    comparisons = Comparisons(store, settings)
    finished = [outcome for run in Runs(store, settings).list() if (outcome := run.outcome)]
    return judged(outcomes(finished, map(comparisons.read, comparisons.list())))


def _recorded(known: dict[str, Any]) -> str:
    error = "none with a forecast" if known["error"] is None else f"median error {known['error']:.1%}"
    lines = [f"{known['runs']} finished runs, {error}, {known['within']} of {known['forecasts']} in the foretold range"]
    for one in known["agreement"]:
        tau = (
            "too few runs yet"
            if one["tau"] is None
            else "{:+.2f} ({:+.2f} to {:+.2f})".format(one["tau"], *one["interval"])
        )
        lines.append(f"{one['title']:<32} {one['runs']:>3} runs  Kendall's tau {tau}")
    return "\n".join(lines)


def stop(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    runs = Runs(Store(settings.home), settings)
    runs.stop(chosen.run)
    return runs.read(chosen.run).as_json()


def resume(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    runs = Runs(Store(settings.home), settings)
    runs.resume(chosen.run)
    return runs.read(chosen.run).as_json()


def delete(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    runs = Runs(Store(settings.home), settings)
    if chosen.for_good:
        runs.purge(chosen.run)
    else:
        runs.delete(chosen.run)
    return {"run": chosen.run, "restorable": not chosen.for_good}


def restore(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    runs = Runs(Store(settings.home), settings)
    runs.restore(chosen.run)
    return runs.read(chosen.run).as_json()


def note(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    runs = Runs(Store(settings.home), settings)
    runs.note(chosen.run, " ".join(chosen.text))
    return runs.read(chosen.run).as_json()


def priority(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    runs = Runs(Store(settings.home), settings)
    runs.prioritise(chosen.run, chosen.priority)
    return runs.read(chosen.run).as_json()


def _row(run: dict[str, Any]) -> str:
    plan = run["plan"] or {"strategy": "?", "backbone": "?"}
    cost = _cost(run["predicted"], run["actual"])
    lines = [f"{run['id']}  {run['state']:<8}  {plan['strategy']} on {plan['backbone']}: {run['message']}"]
    indent = " " * (len(run["id"]) + 12)
    return "\n".join([*lines, *(f"{indent}{more}" for more in (cost, *_said(run)) if more)])


def _said(run: dict[str, Any]) -> list[str]:
    how, of = run["origin"]
    urgent = f"priority {run['priority']}" if run["priority"] and run["state"] == "queued" else ""
    return [f"{how} of {of}" if how else "", urgent, f"note: {run['note'].splitlines()[0]}" if run["note"] else ""]


def _cost(predicted: dict[str, Any], actual: dict[str, Any]) -> str:
    """What it cost beside what was told before; "" while nothing is known of either."""
    units = (("seconds", "s"), ("memory_mb", "MB of memory"), ("disk_mb", "MB on disk"))
    parts = []
    for name, unit in units:
        told, was = predicted.get(name), actual.get(name)
        if was is not None:
            parts.append(f"{was:.0f} {unit}" + (f" ({told:.0f} predicted)" if told is not None else ""))
        elif told is not None:
            parts.append(f"{told:.0f} {unit} predicted")
    return ", ".join(parts)


def _binned(value: dict[str, Any]) -> str:
    if value["restorable"]:
        return f"Deleted. Undo with: python -m trainer restore {value['run']}"
    return "Deleted for good."


def _rows(runs: list[dict[str, Any]]) -> str:
    return "\n".join(map(_row, runs)) or "No run yet. Start one with: python -m trainer fit DATA"


def _takes_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="id of a run, as `runs` lists it")


def _takes_trash(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trash", action="store_true", help="the deleted ones that can be restored")


def _takes_end(parser: argparse.ArgumentParser) -> None:
    _takes_run(parser)
    parser.add_argument("--for-good", action="store_true", help="a run that was deleted before: no undo")


def _takes_text(parser: argparse.ArgumentParser) -> None:
    _takes_run(parser)
    parser.add_argument("text", metavar="TEXT", nargs="*", help="your words; none to remove them")


def _takes_priority(parser: argparse.ArgumentParser) -> None:
    _takes_run(parser)
    parser.add_argument("priority", metavar="N", type=int, help="the higher goes first; 0 is usual")


def _takes_run_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="folder of the run")


COMMANDS = (
    Command(name="runs", help="list every run, newest first", call=list_runs, show=_rows, arguments=_takes_trash),
    Command(name="record", help="what was foretold, what was achieved", call=record, show=_recorded),
    Command(name="stop", help="keep a checkpoint and end a run", call=stop, show=_row, arguments=_takes_run),
    Command(name="resume", help="go on from the last checkpoint", call=resume, show=_row, arguments=_takes_run),
    Command(name="delete", help="into the bin, to be restored", call=delete, show=_binned, arguments=_takes_end),
    Command(name="restore", help="undo a deletion", call=restore, show=_row, arguments=_takes_run),
    Command(name="note", help="keep your words with a run", call=note, show=_row, arguments=_takes_text),
    Command(name="priority", help="move a waiting run", call=priority, show=_row, arguments=_takes_priority),
    Command(name="work", help="be the worker of one run", call=work, arguments=_takes_run_dir),
    Command(name="drive", help="see one run through on a cluster", call=drive, arguments=_takes_run_dir),
    Command(name="supervise", help="start queued runs until none is left", call=supervise),
)
