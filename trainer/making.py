"""What ``python -m trainer`` can make of pictures: train a classifier, ask it, judge it, take it away."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.auto import advice
from trainer.events import Epoch, Event, Failed, Finished, Progress, Started, Stopped
from trainer.exports import empty_folder
from trainer.plans import suggest
from trainer.run import Run
from trainer.runs import Runs
from trainer.strategies import strategies
from trainer.symmetry import tried
from zoo.columns import Columns
from zoo.command import Command, data, positive, tell, whole
from zoo.compare import EMBEDDED
from zoo.comparisons import Comparisons
from zoo.dataset import Dataset, Split, split
from zoo.errors import BadPicture, BadPlan, NotFound
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store, read_json


def fit(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Train on DATA and watch the run to its end."""
    if chosen.out is not None:
        empty_folder(chosen.out)  # before the work, not after it
    store = Store(settings.home)
    dataset = intake(chosen.data, store, settings, _told, _columns(chosen))
    if chosen.strategy == "auto":
        known, decided = advice(dataset, store, settings, chosen.backbone, chosen.seed, _told)
    else:
        known = Comparisons(store, settings).latest(dataset.id)
        decided = {"backbone": chosen.backbone, "strategy": chosen.strategy}
    backbone = decided["backbone"] or str((known or {}).get("plan", {}).get("backbone") or EMBEDDED[0])
    if (found := tried(dataset, backbone, decided["strategy"], store, settings)) is not None:
        tell(" ".join(found.sentences))
    plan = suggest(
        known,
        dataset,
        settings,
        **decided,
        engine=chosen.engine,
        budget_seconds=chosen.budget,
        seed=chosen.seed,
        epochs=chosen.epochs,
        processes=chosen.processes,
    )
    runs = Runs(store, settings)
    run_id = runs.start(plan)
    tell(f"run {run_id}: {plan.strategy} on {plan.backbone}, about {plan.predicted_seconds:.0f} s")
    try:
        for _, event in runs.watch(run_id):
            if line := _line(event):
                tell(line)
    except KeyboardInterrupt:
        tell(f"The run goes on. Stop it with: python -m trainer stop {run_id}")
        raise
    return _fitted(runs.read(run_id), runs, chosen.out)


def _fitted(run: Run, runs: Runs, out: Path | None) -> dict[str, Any]:
    if run.state != "finished":
        broken_off = run.state in ("stopped", "lost")  # what failed by itself has its remedy in its message
        log = f"Its log: {runs.folder(run.id) / 'log.txt'}."
        raise BadPlan(run.message, f"Go on with: python -m trainer resume {run.id}." if broken_off else log)
    classifier = runs.classifier(run.id)
    if out is not None:
        shutil.copytree(classifier, out, dirs_exist_ok=True)
        classifier = out.absolute()
    done = next(event for _, event in runs.watch(run.id) if isinstance(event, Finished))
    test = {name: value for name, value in done.test.items() if name != "expected"}
    assert run.plan is not None
    return {
        "run": run.id,
        "backbone": run.plan.backbone,
        "strategy": run.plan.strategy,
        "test": test,
        "predicted": {
            "accuracy": done.test["expected"] if run.plan.predicted_accuracy is None else run.plan.predicted_accuracy,
            "seconds": run.plan.predicted_seconds,
        },
        "actual": {
            "seconds": done.seconds,
            "forward_seconds": done.forward_seconds,
            "peak_rss_mb": done.peak_rss_mb,
        },
        "classifier": str(classifier),
    }


def _line(event: Event) -> str | None:
    match event:
        case Started(device=device, precision=precision, steps=steps):
            return f"training {steps} steps on {device}, precision {precision}"
        case Progress(stage=stage, done=done, total=total) if done in (0, total):
            return f"{stage} {done}/{total}"
        case Epoch(epoch=epoch, loss=loss, accuracy=accuracy, best=best):
            return f"{epoch}: held-out loss {loss:.3f}, accuracy {accuracy:.1%}{' (best so far)' if best else ''}"
        case Failed(problem=problem):
            return problem
        case Stopped(step=step):
            return f"stopped at step {step}"
        case _:
            return None


def predict(chosen: argparse.Namespace, settings: Settings) -> list[dict[str, Any]]:
    """What the classifier says of each picture; one that cannot be read gets an error in its place."""
    from trainer.classifier import Classifier
    from zoo.decode import read_picture
    from zoo.forward import use_threads

    classifier = Classifier.load(_classifier(chosen.classifier, settings))
    use_threads(settings.threads)
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


def _sixteen(paths: list[Path]) -> Iterator[list[Path]]:
    for first in range(0, len(paths), 16):
        yield paths[first : first + 16]


def evaluate(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """The classifier judged on other pictures, by class name."""
    import numpy as np

    from trainer.classifier import Classifier
    from trainer.conformal import prediction_set
    from trainer.evaluation import evaluate as judge
    from zoo.pictures import SIDE, Pictures

    classifier = Classifier.load(_classifier(chosen.classifier, settings))
    store = Store(settings.home)
    dataset = intake(chosen.data, store, settings, _told, _columns(chosen))
    strange = [label for label in dataset.classes if label not in classifier.classes]
    if strange:
        raise BadPlan(
            f"The classifier does not know the class {strange[0]!r}.",
            f"It knows: {', '.join(classifier.classes[:12])}. Rename the folder or leave it out.",
        )
    learned = _learned_from(classifier.facts.get("passport", {}), store)
    rows = [index for index, item in enumerate(dataset.items) if item.sha not in learned]
    if not rows:
        raise BadPlan("The classifier learned from every one of these pictures.", "Give it pictures it has not seen.")
    if seen := len(dataset) - len(rows):
        tell(f"{seen} of {len(dataset)} pictures are left out: the classifier learned from them.")
    y = np.array([classifier.classes.index(dataset.classes[dataset.y[index]]) for index in rows])
    size = classifier.preprocessing.size / classifier.preprocessing.crop
    pictures = Pictures.open(store, dataset, max(SIDE, int(size)))
    probabilities = classifier.probabilities([pictures[index] for index in rows])
    names = tuple(dataset.items[index].name for index in rows)
    report = judge(probabilities, y, classifier.classes, names, dataset.groups[rows]) | {"seen": seen}
    threshold = classifier.facts.get("set_threshold")
    if threshold is None:
        return report | {"coverage": None}
    held = [label in prediction_set(row, threshold) for row, label in zip(probabilities, y, strict=True)]
    return report | {"coverage": float(np.mean(held))}


def _learned_from(passport: dict[str, Any], store: Store) -> set[str]:
    """SHA-256 of every picture the classifier was trained, chosen or calibrated on, as far as its dataset is here."""
    found = _trained_on(passport, store)
    if found is None:
        return set()
    dataset, parts = found
    return {dataset.items[index].sha for index in parts.of("train", "select", "calibration")}


def _trained_on(passport: dict[str, Any], store: Store) -> tuple[Dataset, Split] | None:
    """The dataset of a classifier's passport, and its split; None where it is not in this store."""
    try:
        dataset = Dataset.load(store, str(passport.get("dataset", "")))
    except NotFound:
        return None
    return dataset, split(dataset, int(passport.get("plan", {}).get("seed", 0)))


def export(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Take a classifier away, proven on the held-out pictures of its run."""
    from trainer.exports import export as format_called

    writer = format_called(chosen.format)
    folder = _classifier(chosen.classifier, settings)
    return writer.write(folder, Path(chosen.to), held_out(folder, Store(settings.home)))


def held_out(classifier: Path, store: Store, most: int = 200) -> list[Path]:
    """Files of the test part of the dataset the classifier was trained on, at most ``most``; none where it is gone."""
    facts = read_json(classifier / "studio.json") or {}
    found = _trained_on(facts.get("passport", {}), store)
    if found is None:
        return []
    dataset, parts = found
    paths = [dataset.root / dataset.items[index].file for index in parts.of("test")[:most]]
    return [path for path in paths if path.is_file()]


def _classifier(given: str, settings: Settings) -> Path:
    """A classifier's folder: a path, or the id of a finished run."""
    path = Path(given)
    if path.is_dir():
        return path
    if "/" in given or "\\" in given:
        raise NotFound(f"There is no classifier at {given[:200]!r}.", "Give a classifier's folder or the id of a run.")
    return Runs(Store(settings.home), settings).classifier(given)


def _columns(chosen: argparse.Namespace) -> Columns:
    return Columns(chosen.image, chosen.label, chosen.split, chosen.group)


def _told(stage: str, done: int, total: int) -> None:
    if total and done == total:
        tell(f"{stage} {done}/{total}")


def _fit_arguments(parser: argparse.ArgumentParser) -> None:
    data(parser)
    parser.add_argument("--backbone", metavar="ID", help="source/name; else the advice of the last comparison")
    parser.add_argument("--strategy", default="auto", metavar="S", help=f"auto, {', '.join(strategies())}")
    parser.add_argument("--budget", type=positive, metavar="SECONDS", help="no new epoch is begun after these")
    parser.add_argument("--out", type=Path, metavar="DIR", help="put the classifier there as well")
    parser.add_argument("--seed", type=whole, metavar="S")
    parser.add_argument("--engine", default=None, metavar="E", help="where it runs: local")
    parser.add_argument("--epochs", type=int, metavar="N", help="most passes over the training part")
    parser.add_argument("--processes", type=int, metavar="P", help="processes that share each step")


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("classifier", metavar="CLASSIFIER", help="its folder, or the id of a finished run")
    parser.add_argument("pictures", metavar="PICTURE", nargs="+", type=Path)


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("classifier", metavar="CLASSIFIER", help="its folder, or the id of a finished run")
    data(parser)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("classifier", metavar="CLASSIFIER", help="its folder, or the id of a finished run")
    parser.add_argument("--format", required=True, metavar="F", help="folder")
    parser.add_argument("--to", required=True, metavar="DIR", help="a folder that does not exist yet")


def _shown(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        if "error" in row:
            lines.append(f"{row['path']}: {row['error']}")
        else:
            doubt = "  (looks like none of the classes)" if row["unknown"] else ""
            lines.append(f"{row['path']}: {row['label']} {row['probability']:.1%}{doubt}")
    return "\n".join(lines)


def _verdict(found: dict[str, Any]) -> str:
    test = found["test"]
    if not test["n"]:
        return f"Saved {found['classifier']}. Too few pictures to hold some out: nothing is known of its accuracy."
    low, high = test["interval"]
    right = f"Right on {test['accuracy']:.1%} ({low:.1%}–{high:.1%}) of {test['n']} pictures it had not seen."
    return f"{right}\nThe classifier: {found['classifier']}"


COMMANDS = (
    Command(name="fit", help="train a classifier on DATA", call=fit, show=_verdict, arguments=_fit_arguments),
    Command(name="predict", help="ask a classifier", call=predict, show=_shown, arguments=_predict_arguments),
    Command(name="evaluate", help="judge it on other pictures", call=evaluate, arguments=_evaluate_arguments),
    Command(name="export", help="take a classifier away", call=export, arguments=_export_arguments),
)
