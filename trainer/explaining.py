"""Why a classifier said what it said of a picture: maps held against each other, and the pictures it resembles."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evidence import Evidence
from trainer.explain import Map, agreement, by_chance, deletion, nearest, occlusion, overlay
from trainer.taking import classifier_at
from zoo.backbone import Picture
from zoo.background import ROOT
from zoo.command import Command, tell
from zoo.dataset import Dataset
from zoo.decode import read_picture
from zoo.errors import BadClassifier, NotFound
from zoo.network import fit
from zoo.settings import Settings, child_environment
from zoo.store import Store, read_json


def by_hiding(heat: Map) -> dict[str, Any]:
    """What is told of the occlusion map, its deletion test aside."""
    return {"method": "occlusion", "heat": heat.round(5).tolist(), "sane": None}


def from_inside(found: dict[str, Any], reference: Map) -> dict[str, Any]:
    """What is told of a map by ``trainer.attention.inside``, its deletion test aside."""
    heat = np.asarray(found["heat"], dtype=np.float64)
    return {
        "method": found["method"],
        "heat": heat.round(5).tolist(),
        "sane": found["sane"],
        "shuffled": found["shuffled"],
        "agreement": agreement(reference, heat),
    }


def resembles(run: Path, store: Store, row: NDArray[np.floating], count: int = 5) -> list[dict[str, Any]]:
    """The pictures of the training part that are most like one, by what the last layer read of it, (D,).

    Returns:
        index (in the run's dataset), name, label and cosine of each; empty where the run kept no features.
    """
    try:
        kept = Evidence.load(run).of("train", "select")
        dataset = Dataset.load(store, (read_json(run / "plan.json") or {}).get("dataset", ""))
    except NotFound:
        return []
    if kept.features.shape[1:] != row.shape:
        return []
    found = []
    for place, likeness in nearest(row, kept.features, count):
        item = dataset.items[int(kept.rows[place])]
        found.append({
            "index": int(kept.rows[place]), "name": item.name, "label": dataset.classes[item.label], "cosine": likeness,
        })  # fmt: skip
    return found


def in_child(arguments: Sequence[str], settings: Settings) -> Iterator[str | dict[str, Any]]:
    """What ``python -m trainer …`` tells while it works, a line each, and at last its document; it ends with us.

    Raises:
        BadClassifier: with the sentence in which the command says what is wrong.
    """
    with tempfile.TemporaryFile() as document:
        command = [sys.executable, "-m", "trainer", *arguments, "--json", "--home", str(settings.home)]
        process = subprocess.Popen(
            command, cwd=ROOT, env=child_environment(OMP_NUM_THREADS=str(settings.threads)),
            stdin=subprocess.DEVNULL, stdout=document, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        last = ""
        try:
            assert process.stderr is not None
            for line in process.stderr:
                last = line.strip() or last
                yield last
            process.wait()
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise BadClassifier(last[:300] or "The process ended early.", "Try again.")
        document.seek(0)
        found: dict[str, Any] = json.loads(document.read())
    yield found


def explain(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Every map that CLASSIFIER's kind of network has, for PICTURE."""
    from trainer.attention import inside
    from trainer.classifier import Classifier
    from zoo.forward import use_threads

    folder = classifier_at(chosen.classifier, settings)
    classifier = Classifier.load(folder)
    use_threads(settings.threads)
    picture = read_picture(chosen.picture)
    prepared = fit(picture, classifier.preprocessing)
    said = classifier.probabilities([picture])[0]
    label = _wanted(chosen.label, classifier.classes, int(said.argmax()))

    def ask(shown: NDArray[np.uint8]) -> NDArray[np.float64]:
        return classifier.prepared(shown)

    tell("hiding parts of it")
    heat, chance = occlusion(ask, prepared, label), by_chance(ask, prepared, label)
    tell("looking inside")
    found = inside(classifier.network, prepared, classifier.preprocessing, label)
    maps = [by_hiding(heat) | {"deletion": deletion(ask, prepared, label, heat, chance)}]
    if found["heat"] is not None:
        maps.append(from_inside(found, heat) | {"deletion": deletion(ask, prepared, label, found["heat"], chance)})
    if chosen.to:
        _drawn(prepared, [np.asarray(one["heat"]) for one in maps], chosen.to)
    row = classifier.features([picture])[0]
    near = resembles(folder.parent, Store(settings.home), row)
    return {"label": classifier.classes[label], "probability": float(said[label]), "maps": maps, "resembles": near}


def _wanted(name: str | None, classes: tuple[str, ...], likeliest: int) -> int:
    if name is None:
        return likeliest
    if name not in classes:
        raise NotFound(f"The classifier does not know {name[:80]!r}.", f"It knows: {', '.join(classes[:12])}.")
    return classes.index(name)


def _drawn(prepared: Picture, maps: list[Map], to: Path) -> None:
    """The picture and each map over it, side by side."""
    from PIL import Image

    Image.fromarray(np.concatenate([prepared, *(overlay(prepared, heat) for heat in maps)], axis=1)).save(to)
    tell(f"written: {to}")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("classifier", metavar="CLASSIFIER", help="its folder, or the id of a finished run")
    parser.add_argument("picture", metavar="PICTURE", type=Path)
    parser.add_argument("--label", metavar="L", help="the class to explain; the likeliest unless told")
    parser.add_argument("--to", metavar="FILE", type=Path, help="draw the maps over the picture, into this .png")


def _shown(found: dict[str, Any]) -> str:
    lines = [f"{found['label']} {found['probability']:.1%}"]
    for one in found["maps"]:
        test = one["deletion"]
        word = "points at what matters" if test["faithful"] else "no better than chance on this picture"
        more = "" if one["sane"] is None else f"; weights shuffled: {'changes' if one['sane'] else 'stays the same!'}"
        lines.append(f"{one['method']}: {word} ({test['area']:.2f} against {test['chance']:.2f}){more}")
    lines += [f"resembles {one['name']} ({one['label']}), cosine {one['cosine']:.2f}" for one in found["resembles"]]
    return "\n".join(lines)


COMMANDS = (
    Command(name="explain", help="where it looked, what the picture resembles", call=explain, show=_shown,
            arguments=_arguments),
)  # fmt: skip
