"""What ``python -m trainer`` can do with finished runs: repeat them, vary them, lay two side by side."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from typing import Any

from trainer.contrast import contrast, drift
from trainer.events import Step
from trainer.plan import Plan
from trainer.plans import suggest
from trainer.run import Run
from trainer.runs import Runs
from zoo.command import Command, tell
from zoo.comparisons import Comparisons
from zoo.dataset import Dataset
from zoo.errors import BadPlan
from zoo.settings import Settings
from zoo.store import Store


def varied(run: Run, changes: dict[str, Any], store: Store, settings: Settings) -> Plan:
    """The plan of ``run`` with ``changes``, its cost and accuracy foretold anew.

    Raises:
        BadPlan: the run has no plan, or a change cannot be carried out.
        NotFound: its dataset is gone.
    """
    if run.plan is None:
        raise BadPlan(run.message, "Choose a run whose plan can be read.")
    wanted = Plan.from_json(run.plan.as_json() | changes)
    decided = {name: value for name, value in wanted.as_json().items() if not name.startswith("predicted_")}
    dataset = Dataset.load(store, decided.pop("dataset"))
    return suggest(Comparisons(store, settings).latest(dataset.id), dataset, settings, **decided)


def parsed(text: str) -> dict[str, Any]:
    """The change that ``field=value`` asks for, its value of the field's type.

    Raises:
        BadPlan: a plan has no such field, or nothing is set.
    """
    name, equals, value = text.partition("=")
    kinds = {field.name: str(field.type) for field in fields(Plan)}
    settable = [known for known in kinds if known != "dataset" and not known.startswith("predicted_")]
    if not equals or name not in settable:
        raise BadPlan(f"{text[:80]!r} sets nothing.", f"Write field=value; the fields are: {', '.join(settable)}.")
    if kinds[name] == "str":
        return {name: value}
    try:
        return {name: json.loads({"none": "null", "None": "null", "True": "true", "False": "false"}.get(value, value))}
    except ValueError:
        return {name: value}  # the plan says what it wants instead


def replay(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Carry out a finished run's plan once more as a run of its own, and say how far it drifted."""
    runs = Runs(Store(settings.home), settings)
    again = repeated(runs, chosen.run)
    tell(f"run {again} repeats {chosen.run}")
    return drift(runs, chosen.run, watched(runs, again).id)


def repeated(runs: Runs, run_id: str) -> str:
    """Queue a finished run once more as it was; the new run's id.

    Raises:
        BadPlan: it has not finished.
        NotFound: there is no such run, or its dataset is gone.
    """
    first = runs.read(run_id)
    if first.state != "finished" or first.plan is None:
        raise BadPlan(f"Run {first.id!r} is {first.state}.", "Only a finished run can be replayed.")
    Dataset.load(runs.store, first.plan.dataset)  # before the work, not after it
    return runs.start(first.plan, origin=("replay", first.id))


def watched(runs: Runs, run_id: str) -> Run:
    """The run once it has finished, told about meanwhile.

    Raises:
        BadPlan: it ended without finishing.
    """
    run = runs.read(run_id)
    for at, event in runs.watch(run_id):
        run = run.after(at, event)
        if not isinstance(event, Step):
            tell(run.message)
    run = runs.read(run_id)
    if run.state != "finished":
        raise BadPlan(run.message, f"Its log: {runs.folder(run_id) / 'log.txt'}.")
    return run


def _drifted(value: dict[str, Any]) -> str:
    before, after = value["accuracy"]
    if value["bit_equal"]:
        ending = "Bit for bit the same: the weights and every probability."
    elif value["changed"] is None:
        ending = "They were tested on different pictures."
    else:
        weights = "the same weights" if value["weights_equal"] else "other weights"
        ending = (
            f"{value['changed']:.1%} of the answers changed, largest probability difference {value['largest']:.2g}; "
        )
        ending += f"{weights}."
    lines = [f"{value['run']}: {after:.1%} of {value['n']} test pictures right, {before:.1%} before. {ending}"]
    lines += [f"  {name}: {old} before, {new} now" for name, (old, new) in value["versions"].items()]
    return "\n".join(lines)


def duplicate(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Queue a run's plan once more, with what is to be otherwise."""
    store = Store(settings.home)
    runs = Runs(store, settings)
    changes = {name: value for text in chosen.set for name, value in parsed(text).items()}
    plan = varied(runs.read(chosen.run), changes, store, settings)
    return runs.read(runs.start(plan, chosen.priority, ("duplicate", chosen.run))).as_json()


def diff(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    return contrast(Runs(Store(settings.home), settings), chosen.run, chosen.other)


def _side_by_side(value: dict[str, Any]) -> str:
    lines = [f"{run['id']}  {run['state']:<8}  {run['message']}" for run in value["runs"]]
    settings = value["configuration"]
    lines += [f"  {name}: {one} → {other}" for name, (one, other) in settings.items()] or ["  The same plan."]
    paired = value["paired"]
    if paired is None:
        return "\n".join([*lines, value["why"]])
    lines.append(f"On the same {paired['n']} test pictures: {paired['verdict']} mid-p {paired['mid_p']:.3g}")
    names, counts = value["confusion"]["classes"], value["confusion"]["difference"]
    changed = [
        (count, f"  {truth} taken for {said}: {count:+d}")
        for truth, row in zip(names, counts, strict=True)
        for said, count in zip(names, row, strict=True)
        if count and said != truth
    ]
    return "\n".join([*lines, *(line for _, line in sorted(changed, key=lambda one: -abs(one[0]))[:10])])


def _takes_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="id of a run, as `runs` lists it")


def _takes_two(parser: argparse.ArgumentParser) -> None:
    _takes_run(parser)
    parser.add_argument("other", metavar="RUN", help="the run to lay beside it")


def _takes_changes(parser: argparse.ArgumentParser) -> None:
    _takes_run(parser)
    parser.add_argument(
        "--set", metavar="FIELD=VALUE", action="append", default=[], help="what is to be otherwise; can be repeated"
    )
    parser.add_argument("--priority", metavar="N", type=int, default=0, help="who of the waiting goes first")


COMMANDS = (
    Command(
        name="replay", help="repeat a finished run and print the drift", call=replay, show=_drifted,
        arguments=_takes_run,
    ),
    Command(
        name="duplicate", help="queue a run's plan again, changed", call=duplicate,
        show=lambda run: f"{run['id']}  {run['state']}: {run['message']}", arguments=_takes_changes,
    ),
    Command(name="diff", help="two runs side by side", call=diff, show=_side_by_side, arguments=_takes_two),
)  # fmt: skip
