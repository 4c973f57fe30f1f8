"""``python -m trainer correct``: a picture's right class, into the run's dataset and into a probe."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from trainer import corrections
from trainer.folder import RunFolder
from trainer.runs import Runs
from zoo import sources
from zoo.command import Command, tell
from zoo.dataset import Dataset
from zoo.decode import read_file
from zoo.errors import StudioError
from zoo.features import Extractor
from zoo.settings import Settings
from zoo.store import Store


def correct(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Put PICTURE into the dataset of RUN, or relabel it there; a probe on frozen features before and after."""
    store = Store(settings.home)
    run = Runs(store, settings).folder(chosen.run)
    label, content = corrections.named(chosen.label), read_file(chosen.picture)
    before = corrections.base(run, chosen.dataset, store)
    tell("Reading the picture into the dataset")
    after = corrections.take(before, content, label, store, settings)
    probe: dict[str, Any] | None = None
    why = ""
    try:
        probe = _solved(run, before, after, corrections.hashed(content), label, store, settings)
    except StudioError as error:
        why = str(error)
    return {"dataset": after.id, "parent": before.id, "change": after.change, "probe": probe, "why": why}


def _solved(
    run: Path, before: Dataset, after: Dataset, sha: str, label: str, store: Store, settings: Settings
) -> dict[str, Any]:
    """By the backbone's own features, those that are kept taken from the disk."""
    tell("Measuring it with the frozen backbone")
    shas = list(after.held.texts("sha"))
    out = corrections.held_back(run, store) - corrections.corrected(run).keys()
    rows = np.array([index for index, one in enumerate(shas) if one not in out or one == sha], dtype=np.int64)
    extractor = Extractor(sources.card(RunFolder(run).plan().backbone, settings), after, store, settings)
    found = extractor.rows(rows).head
    known = {shas[int(index)]: row for index, row in zip(rows, found, strict=True)}
    row = known[sha]
    if sha in out:
        del known[sha]
    solved = corrections.solve(before, known, sha, row, label)
    corrections.remember(run, sha, row)
    return solved.as_json()


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("picture", metavar="PICTURE", type=Path)
    parser.add_argument("--label", metavar="L", required=True, help="what it is; a new class, too")
    parser.add_argument("--dataset", metavar="ID", default="", help="a revision of the run's dataset to go on from")


def _shown(found: dict[str, Any]) -> str:
    lines = [f"{found['dataset']}: {found['change']}"]
    probe = found["probe"]
    if probe is None:
        return "\n".join([*lines, found["why"]])
    for when in ("before", "after"):
        low, high = probe[f"{when}_interval"]
        lines.append(f"probe on frozen features {when}: {probe[when]:.1%} ({low:.1%} to {high:.1%})")
    return "\n".join([*lines, f"of this picture it said {probe['said']} and says {probe['says']} now"])


COMMANDS = (
    Command(name="correct", help="put a picture right: a new revision, and a probe that learned it", call=correct,
            show=_shown, arguments=_arguments),
)  # fmt: skip
