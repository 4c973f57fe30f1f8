"""The machines that compute here as a person sees them: cores, cards, load, the runs there, what a comparison takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.elsewhere import There
from trainer.run import Run
from trainer.ui.train_view import name_of
from zoo.nodes import foretold
from zoo.ui.kit import duration, esc, panel, plural

HEADS = ("Machine", "Cores", "Cards", "Load", "Runs there", "Memory", "This comparison on it alone")
NEVER = "not measured yet"
FROM_PICTURES = "from pictures looked at there"
KINDS = "With all its processes on one kind of the cluster's machines:"
UNSEEN = "Open Machines once, below: then it says here what this takes on each kind of the cluster's machines."


def nodes_html(
    machines: Sequence[Mapping[str, Any]],
    runs: Sequence[Run],
    speeds: Mapping[str, Mapping[str, float]],
    comparison: Mapping[str, Any] | None,
) -> str:
    """A row a machine of a cluster; one line where there is only this one.

    Args:
        speeds: milliseconds a picture by machine kind and backbone.
        comparison: the one looked at, which says what its like would take on each machine.
    """
    if len(machines) == 1 and machines[0]["node"] == "this machine":
        return f"<p>{esc(_here(machines[0], runs))}</p>"
    rows = "".join(_row(one, runs, speeds.get(one["kind"], {}), comparison) for one in machines)
    heads = "".join(f'<th scope="col">{esc(name)}</th>' for name in HEADS)
    table = f'<table class="tz-table"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    scrolled = f'<div class="tz-scroll">{table}</div>'
    cores = sum(one["cpus"] for one in machines)
    return panel(f"{plural(len(machines), 'machine')}, {plural(int(cores), 'core')}", scrolled)


def _here(machine: Mapping[str, Any], runs: Sequence[Run]) -> str:
    active = [run for run in runs if run.active]
    there = f"; {plural(len(active), 'run')} on it" if active else ""
    return (
        f"This machine: {plural(machine['cores'], 'core')} ({machine['kind']}), {machine['load']:.0%} busy, "
        f"{_memory(machine)}{there}."
    )


def _row(
    machine: Mapping[str, Any],
    runs: Sequence[Run],
    speeds: Mapping[str, float],
    comparison: Mapping[str, Any] | None,
) -> str:
    cells = (
        f"{machine['cpus']:.0f}",
        f"{machine['gpus']:.0f}",
        f"{machine['load']:.0%}",
        ", ".join(name_of(run) for run in runs if run.active and at(run, machine["node"])) or "–",
        _memory(machine),
        _cost(machine, speeds, comparison),
    )
    name = f'<th scope="row">{esc(machine["node"])}<br><small>{esc(machine["kind"])}</small></th>'
    return f"<tr>{name}{''.join(f'<td>{esc(cell)}</td>' for cell in cells)}</tr>"


def kinds_html(found: Sequence[There] | None) -> str:
    """What a plan takes on each kind of machine in the cluster."""
    if found is None:
        return f"<p>{esc(UNSEEN)}</p>"
    rows = "".join(f"<li>{_kind(one)}</li>" for one in found)
    return f"<p>{esc(KINDS)}</p><ul>{rows}</ul>"


def _kind(there: There) -> str:
    which = f"{esc(there.kind)}, {plural(there.machines, 'machine')}"
    if there.seconds is None:
        return f"{which}: {esc(NEVER)}"
    by = f"from {plural(there.runs, 'run')} there" if there.runs else FROM_PICTURES
    return f"{which}: <b>{esc(duration(there.seconds))}</b>, {esc(by)}"


def at(run: Run, node: str) -> bool:
    """Whether a process of ``run`` is on that node."""
    return any(str(place.get("node")) == node for place in getattr(run, "places", ()))


def _cost(machine: Mapping[str, Any], speeds: Mapping[str, float], comparison: Mapping[str, Any] | None) -> str:
    if not comparison or not comparison.get("backbones"):
        return "–"
    asked = {row["id"]: float(row["gmacs"]) for row in comparison["backbones"]}
    seconds = foretold(speeds, asked, int(comparison.get("pictures", 0)), machine["cpus"])
    return NEVER if seconds is None else f"about {duration(seconds)}"


def _memory(machine: Mapping[str, Any]) -> str:
    return f"{machine['memory_used'] / 1e9:.1f} of {machine['memory'] / 1e9:.1f} GB in use"
