"""Two runs side by side, and how far a replay drifted, on answers that were really kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import PictureFolder
from trainer.contrast import contrast, drift
from trainer.events import Epoch, Finished, Started
from trainer.evidence import Evidence
from trainer.folder import RunFolder
from trainer.plan import Plan
from trainer.repeating import parsed, varied
from trainer.runs import Runs
from trainer.ui.contrast_view import contrast_html
from trainer.ui.train_view import run_html, runs_html
from zoo.dataset import PARTS, Dataset, split
from zoo.errors import BadPlan, NotFound
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store


@pytest.fixture
def runs(store: Store, settings: Settings) -> Runs:
    return Runs(store, settings, ("/bin/true",))


@pytest.fixture
def dataset(picture_folder: PictureFolder, store: Store, settings: Settings) -> Dataset:
    return intake(picture_folder(("a<b>", "c"), 30), store, settings)


def finished(runs: Runs, dataset: Dataset, wrong: int, weights: bytes = b"w", **plan: object) -> str:
    """A finished run that has its first ``wrong`` test pictures wrong."""
    asked = Plan.from_json({"dataset": dataset.id, "backbone": "embedded/tf_efficientnet_lite0", **plan})
    run_id = runs.start(asked)
    folder = RunFolder(runs.folder(run_id))
    rows = split(dataset, asked.seed).of("test")
    said = np.where(np.arange(len(rows)) < wrong, 1 - dataset.y[rows], dataset.y[rows])
    kept(rows, np.eye(2, dtype=np.float32)[said] * 0.8 + 0.1).save(folder.path)
    (folder.classifier).mkdir()
    (folder.classifier / "model.safetensors").write_bytes(weights)
    folder.log.append(Started(step=0, steps=9, epochs=3, device="cpu", processes=1, precision="no", pid=1))
    for number, loss in enumerate((0.5, 0.3, 0.4, 0.6), 1):
        folder.log.append(
            Epoch(
                epoch=number, step=3 * number, train_loss=0.1, train_accuracy=0.99, loss=loss, accuracy=0.7,
                interval=(0.6, 0.8), seconds=1, best=number == 2,
            )
        )  # fmt: skip
    accuracy = 1 - wrong / len(rows)
    test = {"n": len(rows), "accuracy": accuracy, "interval": [accuracy - 0.1, accuracy]}
    folder.log.append(Finished(test=test, seconds=9, forward_seconds=3, peak_rss_mb=700, disk_mb=12))
    record = {"phase": "ended", "ticket": folder.ticket, "offset": 0, "at": 0}
    (folder.path / "state.json").write_text(str(record).replace("'", '"'))
    return run_id


def kept(rows: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Evidence:
    count = len(rows)
    part = np.full(count, PARTS.index("test"), dtype=np.uint8)
    return Evidence(rows, part, probabilities, np.zeros(count, np.float32), np.zeros((count, 0), np.float16))


def test_two_runs_are_told_apart_on_the_test_pictures_that_both_saw(runs: Runs, dataset: Dataset) -> None:
    one, other = finished(runs, dataset, 8), finished(runs, dataset, 1, strategy="full", epochs=4, patience=2)
    runs.note(other, "the ${deeper} one")
    found = contrast(runs, one, other)
    assert found["configuration"] == {"strategy": ["linear_head", "full"], "epochs": [10, 4], "patience": [3, 2]}
    paired, n = found["paired"], found["paired"]["n"]
    assert n == len(split(dataset, 0).of("test"))
    assert paired["difference"] == pytest.approx(7 / n)
    assert paired["only_right"] == [0, 7]
    assert paired["mid_p"] == pytest.approx(2 * 0.5**7 - 0.5**7)
    assert paired["interval"][0] > 0
    assert paired["proven"]
    assert np.sum(found["confusion"]["difference"]) == 0
    assert np.trace(found["confusion"]["difference"]) == 7
    page = contrast_html(found, ("first", "the ${deeper} one"))
    assert "a&lt;b&gt;" in page
    assert "${" not in page
    assert "more than chance" in page
    assert contrast(runs, one, one)["paired"]["verdict"].endswith("not proven.")
    elsewhere = contrast(runs, one, finished(runs, dataset, 0, seed=1))
    assert elsewhere["paired"] is None or elsewhere["paired"]["n"] < n


def test_a_replay_that_is_the_same_is_told_from_one_that_drifted(runs: Runs, dataset: Dataset) -> None:
    first, same, other = finished(runs, dataset, 2), finished(runs, dataset, 2), finished(runs, dataset, 3, b"other")
    assert drift(runs, first, same)["bit_equal"]
    told = drift(runs, first, other)
    assert (told["bit_equal"], told["weights_equal"]) == (False, False)
    assert told["changed"] == pytest.approx(1 / told["n"])
    assert told["largest"] == pytest.approx(0.8)
    assert told["accuracy_difference"] == pytest.approx(-1 / told["n"])
    unsure = RunFolder(runs.folder(other)).path / "evidence.npz"
    unsure.unlink()
    with pytest.raises(NotFound, match="kept no answers"):
        drift(runs, first, other)
    assert "kept no answers" in contrast(runs, first, other)["why"]


def test_a_plan_is_varied_by_fields_that_it_has(runs: Runs, dataset: Dataset) -> None:
    run = runs.read(finished(runs, dataset, 0, strategy="full"))
    plan = varied(
        run, parsed("epochs=3") | parsed("flip=false") | parsed("budget_seconds=none"), runs.store, runs.settings
    )
    assert (plan.epochs, plan.flip, plan.budget_seconds, plan.strategy) == (3, False, None, "full")
    assert plan.predicted_seconds is not None
    for wrong in ("epochs", "dataset=x", "predicted_seconds=1", "colour=red"):
        with pytest.raises(BadPlan, match="sets nothing"):
            parsed(wrong)
    with pytest.raises(BadPlan, match="epochs is 'many'"):
        varied(run, parsed("epochs=many"), runs.store, runs.settings)


def test_a_run_is_shown_with_its_costs_its_overfitting_and_its_early_end(runs: Runs, dataset: Dataset) -> None:
    run_id = finished(runs, dataset, 0, strategy="full", patience=2, predicted_seconds=5.0, predicted_memory_mb=512.0)
    run = runs.read(run_id)
    told = run.as_json()
    assert told["predicted"] == {"seconds": 5.0, "memory_mb": 512.0, "disk_mb": None, "accuracy": None}
    assert told["actual"] == {"seconds": 9, "memory_mb": 700, "disk_mb": 12, "accuracy": 1.0}
    assert told["explained"]["overfitting"].startswith("Overfitting: learned-from minus held-out is +29 points (+19 to")
    assert told["explained"]["early_stop"].startswith("Stopped early, after pass 4 of 10: 2 without a better")
    page = run_html(run)
    assert all(words in page for words in ("512 MB", "700 MB", "12 MB", "Stopped early", "Overfitting"))
    runs.note(run_id, "keep")
    runs.delete(run_id)
    gone = runs_html(runs.list(), "", runs.trash(), run_id)
    assert gone.count(f"restore {run_id}") == 2
    assert "keep" in runs_html(runs.trash(), run_id)


def test_every_field_of_a_plan_is_a_knob_with_its_reason() -> None:
    from dataclasses import fields

    from trainer.ui.knobs import KNOBS, SET_ELSEWHERE

    known = [knob.field for knob in KNOBS]
    asked = {field.name for field in fields(Plan) if not field.name.startswith("predicted_")}
    assert len(known) == len(set(known))
    assert set(known) == asked - {"backbone", "strategy", *SET_ELSEWHERE}
    assert all(knob.reason.endswith(".") and knob.label for knob in KNOBS)


def test_a_runs_folder_says_what_is_in_it(runs: Runs, dataset: Dataset) -> None:
    folder: Path = runs.folder(finished(runs, dataset, 0))
    words = (folder / "README.txt").read_text(encoding="utf-8")
    assert [
        path.name for path in folder.iterdir() if path.name.strip("/") not in words and path.name != "README.txt"
    ] == []
