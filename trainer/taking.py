"""What ``python -m trainer`` can do with a classifier: ask it, make it quick, take it away."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import answering, served
from trainer.exports import export as format_called
from trainer.exports import exports
from trainer.proof import Order, Proof
from trainer.runs import Runs
from zoo.command import Command, tell
from zoo.errors import BadPicture, NotFound
from zoo.settings import Settings
from zoo.store import Store

if TYPE_CHECKING:
    from trainer.classifier import Classifier


def predict(chosen: argparse.Namespace, settings: Settings) -> list[dict[str, Any]]:
    """What the classifier says of each picture; one that cannot be read gets an error in its place."""
    from zoo.decode import read_picture

    classifier = _quickest(classifier_at(chosen.classifier, settings), settings)
    rows: list[dict[str, Any]] = []
    for batch in _sixteen(chosen.pictures):
        read: dict[int, Any] = {}
        for index, path in enumerate(batch):
            try:
                read[index] = read_picture(path)
            except BadPicture as error:
                read[index] = {"path": str(path), "error": str(error)}
        good = [index for index in read if not isinstance(read[index], dict)]
        for index, said in zip(good, classifier.stream([read[index] for index in good]), strict=True):
            read[index] = {"path": str(batch[index])} | said.as_json()
        rows += [read[index] for index in range(len(batch))]
    return rows


def _quickest(folder: Path, settings: Settings) -> served.Served | Classifier:
    """Without torch where that can be had; made so at the first question."""
    store = Store(settings.home)
    known = served.known(store, folder, settings.threads) or served.make(store, folder, settings.threads)
    if known is not None:
        return known
    from trainer.classifier import Classifier
    from zoo.forward import use_threads

    use_threads(settings.threads)
    return Classifier.load(folder)


def _sixteen(paths: list[Path]) -> Iterator[list[Path]]:
    for first in range(0, len(paths), 16):
        yield paths[first : first + 16]


def ready(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Make a classifier answer without torch, once for this machine."""
    folder, store = classifier_at(chosen.classifier, settings), Store(settings.home)
    made = served.make(store, folder, settings.threads)
    return {"ready": made is not None, "why": served.impossible(store, folder)}


def answer(chosen: argparse.Namespace, settings: Settings) -> None:
    """Be the process that answers with torch, for a page that does not import it."""
    answering.serve(classifier_at(chosen.classifier, settings), settings.threads)


def export(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Take a classifier away, proven on the held-out pictures of its run."""
    writer = format_called(chosen.format)
    folder, store = classifier_at(chosen.classifier, settings), Store(settings.home)
    order = Order(
        classifier=folder.absolute(),
        to=chosen.to,
        store=store,
        proof=Proof.of(folder, store),
        examples=not chosen.no_examples,
        int8=chosen.int8,
        public=chosen.public,
    )
    tell(f"Proving it on {len(order.proof.pictures)} held-out pictures.")
    return writer.write(order)


def classifier_at(given: str, settings: Settings) -> Path:
    """A classifier's folder: a path, or the id of a finished run.

    Raises:
        NotFound: there is none.
    """
    path = Path(given)
    if path.is_dir():
        return path
    if "/" in given or "\\" in given:
        raise NotFound(f"There is no classifier at {given[:200]!r}.", "Give a classifier's folder or the id of a run.")
    return Runs(Store(settings.home), settings).classifier(given)


def _takes_classifier(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("classifier", metavar="CLASSIFIER", help="its folder, or the id of a finished run")


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    _takes_classifier(parser)
    parser.add_argument("pictures", metavar="PICTURE", nargs="+", type=Path)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _takes_classifier(parser)
    parser.add_argument("--format", required=True, metavar="F", help=", ".join(exports()))
    parser.add_argument(
        "--to", required=True, metavar="DIR", help="a folder that does not exist yet; for hub OWNER/NAME"
    )
    parser.add_argument("--no-examples", action="store_true", help="no picture of the test part goes along")
    parser.add_argument("--int8", action="store_true", help="with onnx: an int8 variant too, if it loses little")
    parser.add_argument("--public", action="store_true", help="with hub: everyone may see it")


def _shown(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        if "error" in row:
            lines.append(f"{row['path']}: {row['error']}")
        else:
            doubt = "  (looks like none of the classes)" if row["unknown"] else ""
            lines.append(f"{row['path']}: {row['label']} {row['probability']:.1%}{doubt}")
    return "\n".join(lines)


COMMANDS = (
    Command(name="predict", help="ask a classifier", call=predict, show=_shown, arguments=_predict_arguments),
    Command(name="export", help="take a classifier away", call=export, arguments=_export_arguments),
    Command(name="ready", help="make a classifier answer without torch", call=ready, arguments=_takes_classifier),
    Command(name="answer", help="be a page's torch", call=answer, arguments=_takes_classifier),
)
