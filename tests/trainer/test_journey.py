"""One whole journey on real ImageNet weights: train, take away, load with timm and transformers, ask, judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.classifier import Classifier
from trainer.proof import Proof
from zoo.decode import read_picture
from zoo.errors import BadClassifier
from zoo.store import Store

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "zoo" / "sample"

pytestmark = pytest.mark.slow


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "trainer", *words, "--home", str(home)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    home = tmp_path_factory.mktemp("home")
    done = command(home, "fit", "sample", "--strategy", "linear_head", "--json")
    assert done.returncode == 0, done.stderr
    return home, json.loads(done.stdout)


def test_the_run_reports_what_it_did(fitted: tuple[Path, dict[str, Any]]) -> None:
    _, found = fitted
    test = found["test"]
    assert found["strategy"] == "linear_head"
    assert test["n"] >= 40
    assert test["interval"][0] <= test["accuracy"] <= test["interval"][1]
    assert test["interval"][0] > 1 / 6  # chance
    assert found["actual"]["seconds"] > 0 < found["actual"]["peak_rss_mb"]
    assert 0 < found["predicted"]["accuracy"] < 1


def test_timm_and_transformers_name_the_same_class_on_every_test_picture(
    fitted: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    home, found = fitted
    done = command(home, "export", found["run"], "--format", "folder", "--to", str(tmp_path / "out"), "--json")
    assert done.returncode == 0, done.stderr
    parity = json.loads(done.stdout)["parity"]
    assert parity["pictures"] == found["test"]["n"]
    assert parity["agreement"] == 1.0
    assert parity["max_abs_dp"] < 1e-4
    again = command(home, "export", found["run"], "--format", "folder", "--to", str(tmp_path / "out"))
    assert (again.returncode, again.stdout) == (2, "")


def test_the_test_part_is_as_right_as_reported(fitted: tuple[Path, dict[str, Any]]) -> None:
    home, found = fitted
    folder = Path(found["classifier"])
    paths = Proof.of(folder, Store(home)).pictures
    said = Classifier.load(folder).predict([read_picture(path) for path in paths])
    right = np.mean([one.label == path.parent.name for one, path in zip(said, paths, strict=True)])
    assert right == pytest.approx(found["test"]["accuracy"])
    assert all(sum(share for _, share in one.top) == pytest.approx(1) for one in said)
    assert all(one.label in one.set for one in said)


def test_pictures_are_answered_and_a_broken_one_is_said_so(fitted: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    home, found = fitted
    (tmp_path / "broken.jpg").write_bytes(b"GIF89a")
    good = next((SAMPLE / "birds").glob("*.jpg"))
    done = command(home, "predict", found["classifier"], str(good), str(tmp_path / "broken.jpg"), "--json")
    rows = json.loads(done.stdout)
    assert set(rows[0]) == {"path", "label", "probability", "set", "unknown", "novelty", "top", "seconds"}
    assert set(rows[1]) == {"path", "error"}


def test_the_classifier_is_judged_on_pictures_it_has_not_learned_from(fitted: tuple[Path, dict[str, Any]]) -> None:
    home, found = fitted
    report = json.loads(command(home, "evaluate", found["run"], "sample", "--json").stdout)
    assert (report["n"], report["seen"]) == (found["test"]["n"], 228 - found["test"]["n"])
    assert report["accuracy"] == pytest.approx(found["test"]["accuracy"])
    assert 0.7 <= report["coverage"] <= 1
    assert len(report["confusion"]) == len(report["per_class"]) == 6
    at_the_end = json.loads((home / "runs" / found["run"] / "evaluation.json").read_text())["per_class"]
    assert [sorted(row) for row in report["per_class"]] == [sorted(row) for row in at_the_end]


@pytest.mark.parametrize(
    "words",
    [("predict", "no/such/folder", "x.jpg"), ("predict", "nosuchrun", "x.jpg"), ("evaluate", "nosuchrun", "sample"),
     ("export", "nosuchrun", "--format", "folder", "--to", "x"), ("fit", "sample", "--strategy", "magic"),
     ("fit", "sample", "--backbone", "timm/../x"), ("fit", "sample", "--epochs", "0"), ("fit", "no/such/data")],
)  # fmt: skip
def test_what_a_person_can_fix_is_one_line_and_exit_2(words: tuple[str, ...], tmp_path: Path) -> None:
    done = command(tmp_path / "home", *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith(".")


def test_damaged_weights_are_refused(fitted: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(fitted[1]["classifier"], broken)
    (broken / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(BadClassifier):
        Classifier.load(broken)
    with pytest.raises(BadClassifier):
        Classifier.load(tmp_path)
