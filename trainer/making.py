"""What ``python -m trainer`` can make of pictures: train a classifier, judge it."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer import symmetry
from trainer.auto import advice
from trainer.elsewhere import everywhere, sentence
from trainer.engines import engines
from trainer.events import Epoch, Event, Failed, Finished, Placed, Progress, Started, Stopped
from trainer.folder import RunFolder
from trainer.parcel import empty_folder
from trainer.plan import Plan
from trainer.plans import suggest
from trainer.proof import trained_on
from trainer.run import Run
from trainer.runs import Runs
from trainer.strategies import strategies
from trainer.taking import classifier_at
from zoo.columns import Columns
from zoo.command import Command, data, positive, tell, whole
from zoo.comparisons import Comparisons
from zoo.dataset import Dataset
from zoo.errors import BadPlan
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store, new_id

PLANNED = ("engine", "seed", "epochs", "patience", "processes", "sharded", "worker_cpus", "worker_gpus")


def fit(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Train on DATA and watch the run to its end."""
    if chosen.out is not None:
        empty_folder(chosen.out)  # before the work, not after it
    store = Store(settings.home)
    dataset = intake(chosen.data, store, settings, _told, _columns(chosen))
    plan = _planned(chosen, dataset, store, settings)
    runs = Runs(store, settings)
    run_id = runs.start(plan)
    tell(f"run {run_id}: {plan.strategy} on {plan.backbone}, about {plan.predicted_seconds:.0f} s")
    if plan.engine != "local":
        _tell_elsewhere(plan, settings, Comparisons(store, settings).latest(dataset.id))
    try:
        for _, event in runs.watch(run_id):
            if line := _line(event):
                tell(line)
    except KeyboardInterrupt:
        tell(f"The run goes on. Stop it with: python -m trainer stop {run_id}")
        raise
    return _fitted(runs.read(run_id), runs, chosen.out)


def _tell_elsewhere(plan: Plan, settings: Settings, known: Mapping[str, Any] | None) -> None:
    there = everywhere(plan, settings, known)
    if there is None:
        tell("What it takes on each kind of machine is told after: STUDIO_ENGINE=ray python -m zoo nodes")
    for one in there or ():
        tell(sentence(one))


def prepare(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Make the folder of a run that a person starts by hand, with launchers on machines that share it."""
    store = Store(settings.home)
    dataset = intake(chosen.data, store, settings, _told, _columns(chosen))
    folder = RunFolder(store.runs / new_id())
    folder.path.mkdir(parents=True)
    folder.write_plan(_planned(chosen, dataset, store, settings))
    folder.write_readme()
    return {"folder": str(folder.path), "work": f"-m trainer work {folder.path}"}


def _planned(chosen: argparse.Namespace, dataset: Dataset, store: Store, settings: Settings) -> Plan:
    """What was asked for, completed by what is known of the pictures or is now found out."""
    decided: dict[str, Any] = {"backbone": chosen.backbone}
    decided |= {} if chosen.strategy == "auto" else {"strategy": chosen.strategy}
    asked = {name: getattr(chosen, name) for name in PLANNED}
    asked["budget_seconds"] = chosen.budget
    known: Mapping[str, Any] | None = Comparisons(store, settings).latest(dataset.id)
    plan = suggest(known, dataset, settings, **decided | asked)  # what cannot be done is said before the work
    if chosen.strategy == "auto":
        known, decided = advice(dataset, store, settings, chosen.backbone, chosen.seed, _told)
        plan = suggest(known, dataset, settings, **decided | asked)
    if symmetry.known(dataset.id, plan.backbone, settings) or plan.strategy in symmetry.AS_THEY_ARE:
        return plan
    if (found := symmetry.tried(dataset, plan.backbone, plan.strategy, store, settings)) is not None:
        tell(" ".join(found.sentences))
    return suggest(known, dataset, settings, **decided | asked)


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
        case Placed(workers=workers):
            return "process " + ", ".join("{rank} on {node} (pid {pid})".format(**worker) for worker in workers)
        case Stopped(step=step):
            return f"stopped at step {step}"
        case _:
            return None


def evaluate(chosen: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """The classifier judged on other pictures, by class name."""
    import numpy as np

    from trainer.classifier import Classifier
    from trainer.conformal import prediction_set
    from trainer.evaluation import evaluate as judge
    from zoo.pictures import SIDE, Pictures

    classifier = Classifier.load(classifier_at(chosen.classifier, settings))
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
    found = trained_on(passport, store)
    if found is None:
        return set()
    dataset, parts = found
    return {dataset.items[index].sha for index in parts.of("train", "select", "calibration")}


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
    parser.add_argument("--seed", type=whole, metavar="S")
    parser.add_argument("--engine", default=None, metavar="E", help=f"where it runs: {', '.join(engines())}")
    parser.add_argument("--epochs", type=int, metavar="N", help="most passes over the training part")
    parser.add_argument("--patience", type=whole, metavar="N", help="passes without a gain before it stops, 0: never")
    parser.add_argument("--processes", type=int, metavar="P", help="processes that share each step")
    parser.add_argument("--sharded", action="store_true", default=None, help="each holds a share of the network (FSDP)")
    parser.add_argument("--worker-cpus", type=whole, metavar="N", help="CPUs for each of them, on a cluster")
    parser.add_argument("--worker-gpus", type=whole, metavar="N", help="GPUs for each of them, on a cluster")


def _fit_to_its_end(parser: argparse.ArgumentParser) -> None:
    _fit_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="put the classifier there as well")


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("classifier", metavar="CLASSIFIER", help="its folder, or the id of a finished run")
    data(parser)


def _verdict(found: dict[str, Any]) -> str:
    test = found["test"]
    if not test["n"]:
        return f"Saved {found['classifier']}. Too few pictures to hold some out: nothing is known of its accuracy."
    low, high = test["interval"]
    right = f"Right on {test['accuracy']:.1%} ({low:.1%}–{high:.1%}) of {test['n']} pictures it had not seen."
    return f"{right}\nThe classifier: {found['classifier']}"


COMMANDS = (
    Command(name="fit", help="train a classifier on DATA", call=fit, show=_verdict, arguments=_fit_to_its_end),
    Command(
        name="prepare",
        help="a run's folder, for launchers on several machines",
        call=prepare,
        show=lambda made: made["folder"],
        arguments=_fit_arguments,
    ),
    Command(name="evaluate", help="judge it on other pictures", call=evaluate, arguments=_evaluate_arguments),
)
