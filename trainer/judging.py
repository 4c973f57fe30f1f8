"""What ``python -m trainer`` can say of a finished run: its results, and how far to trust them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from trainer import report
from trainer.judgement import TRUST, Judgement
from trainer.runs import Runs
from zoo.command import Command, tell
from zoo.errors import BadPlan
from zoo.settings import Settings
from zoo.store import Store, write_json

WIDTHS = (2, 4, 8, 16, 32)  # of the autoencoder's narrowest layer, for the map
MAP = "map.npz"


def results(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Everything known of RUN's test part; also as a file."""
    store = Store(settings.home)
    judged = Judgement.load(Runs(store, settings).folder(chosen.run), store)
    if not 0 < chosen.miss < 1:
        raise BadPlan(f"--miss is {chosen.miss}.", "Give a share between 0 and 1, such as 0.1.")
    found = judged.results()
    try:
        found["sets"] = judged.coverage(chosen.miss)
    except BadPlan as refused:
        found["sets"] = {"miss": chosen.miss, "refused": str(refused)}
    if chosen.report:
        report.write(found, chosen.report, judged.dataset.title)
        tell(f"written: {chosen.report}")
    return found


def trust(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Keep each class of RUN's dataset from two detectors in turn, and keep what that showed beside the run."""
    from trainer.autoencoder import planes
    from trainer.trust import compared, left_out
    from zoo.curve import curves

    store = Store(settings.home)
    folder = Runs(store, settings).folder(chosen.run)
    judged = Judgement.load(folder, store)
    x, y, rows, learned = _frozen(judged, store, settings)
    turns = []
    for turn in left_out(x, y, learned, judged.classes):
        turns.append(turn)
        tell(f"without {turn.label}: gate {turn.auroc['gate']:.2f}, autoencoder {turn.auroc['autoencoder']:.2f}")
    found: dict[str, Any] = compared(turns) | {"pictures": len(y)}
    found["curve"] = curves(x[learned], y[learned], judged.dataset.groups[rows[learned]], judged.classes).as_json()
    maps = planes(x, WIDTHS)
    np.savez(folder / MAP, allow_pickle=False, rows=rows, **{f"k{width}": flat for width, (flat, _) in maps.items()})
    found["rebuilt"] = {str(width): share for width, (_, share) in maps.items()}
    write_json(folder / TRUST, found)
    return found


def _frozen(judged: Judgement, store: Store, settings: Settings) -> tuple[Any, Any, Any, Any]:
    """Features, labels, dataset rows, and which were learned from, of the pictures the run kept.

    The features are the frozen backbone's: a network that was trained on a class cannot be made to forget it.
    """
    from trainer.folder import RunFolder
    from zoo import sources
    from zoo.features import Extractor

    plan = RunFolder(Runs(store, settings).folder(judged.run)).plan()
    rows = judged.kept.rows
    read = Extractor(sources.card(plan.backbone, settings), judged.dataset, store, settings).rows(rows)
    return read.head, judged.kept.labels(judged.dataset), rows, judged.kept.part < 2


def _takes_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="id of a finished run, as `runs` lists it")


def _results_arguments(parser: argparse.ArgumentParser) -> None:
    _takes_run(parser)
    parser.add_argument("--miss", type=float, default=0.1, metavar="SHARE", help="how often a set may lack the truth")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write it as .html, .csv or .json, too")


def _shown(found: dict[str, Any]) -> str:
    low, high = found["interval"]
    lines = [f"Right on {found['accuracy']:.1%} ({low:.1%} to {high:.1%}) of {found['n']} test pictures."]
    if found["overfitting"]:
        lines.append(found["overfitting"]["sentence"])
    sets = found["sets"]
    if "refused" in sets:
        lines.append(sets["refused"])
    else:
        low, high = sets["interval"]
        lines.append(
            f"Sets for {1 - sets['miss']:.0%}: {sets['coverage']:.1%} ({low:.1%} to {high:.1%}) hold the truth, "
            f"{sets['mean_size']:.2f} classes on average."
        )
    lines += [f"{one['truth']} taken for {one['said']}: {one['count']} of {one['of']}" for one in found["pairs"][:5]]
    return "\n".join(lines)


COMMANDS = (
    Command(name="results", help="all that is known of a finished run", call=results, show=_shown,
            arguments=_results_arguments),
    Command(name="trust", help="whether it knows what it does not know, class by class", call=trust,
            show=lambda found: str(found["sentence"]), arguments=_takes_run),
)  # fmt: skip
