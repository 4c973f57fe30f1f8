"""What is wrong with a dataset is found, named by its pictures, and said; what is right is left in peace."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.health import HealthReport, check
from zoo.intake import intake
from zoo.probe import ridge
from zoo.settings import Settings
from zoo.store import Store
from zoo.suspects import label_suspects, probabilities

PictureFolder = Callable[..., Path]
TOP = Path(__file__).parents[2]
KEYS = ["pictures", "classes", "corrupt", "duplicates", "leaks", "label_suspects", "shortcuts", "skipped"]
KEYS += ["findings", "leakage", "curve"]

Examine = Callable[[Path], HealthReport]


@pytest.fixture
def examine(store: Store, settings: Settings) -> Examine:
    return lambda source: check(intake(source, store, settings), store, settings, labels=False)


def test_a_sound_dataset_has_nothing_to_report(picture_folder: PictureFolder, examine: Examine) -> None:
    report = examine(picture_folder(2, 12))
    assert list(report.as_json()) == KEYS
    assert report.pictures == 24
    assert report.classes == {"class_0": 12, "class_1": 12}
    assert report.sentences == ("Nothing wrong was found.",)


def test_duplicates_conflicts_and_corrupt_files_are_named(picture_folder: PictureFolder, examine: Examine) -> None:
    """Hostile 19: the same picture under two labels."""
    top = picture_folder(("cat", "dog"), 12)
    shutil.copy(top / "cat" / "cat_000.png", top / "cat" / "again.png")
    shutil.copy(top / "cat" / "cat_001.png", top / "dog" / "cat.png")
    (top / "dog" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    report = examine(top)
    assert set(report.duplicates) == {("cat/again.png", "cat/cat_000.png"), ("cat/cat_001.png", "dog/cat.png")}
    assert report.conflicts == (("cat/cat_001.png", "dog/cat.png"),)
    assert report.corrupt == ("dog/torn.jpg",)
    assert [one["path"] for one in report.as_json()["skipped"]] == ["dog/torn.jpg"]
    assert any("more than one label" in sentence for sentence in report.sentences)


def test_the_same_picture_in_train_and_test_is_a_leak(picture_folder: PictureFolder, examine: Examine) -> None:
    """Hostile 19, to the byte and to the eye."""
    for number, part in enumerate(("train", "val", "test")):
        top = picture_folder(("cat", "dog"), 4, inside=part, seed=number, size=(160, 120))
    shutil.copy(top / "train" / "cat" / "cat_000.png", top / "test" / "cat" / "copy.png")
    with Image.open(top / "train" / "dog" / "dog_000.png") as image:
        image.save(top / "val" / "dog" / "near.jpg", quality=70)
    report = examine(top)
    assert {frozenset(paths) for paths in report.leaks} == {
        frozenset({"test/cat/copy.png", "train/cat/cat_000.png"}),
        frozenset({"train/dog/dog_000.png", "val/dog/near.jpg"}),
    }
    assert "split folder" in report.sentences[0]


def noisy(folder: Path, label: str, count: int, *, size: tuple[int, int] = (48, 48), shift: int = 0) -> None:
    (folder / label).mkdir(parents=True)
    rng = np.random.default_rng(sum(map(ord, label)))
    for number in range(count):
        values = rng.integers(40 + shift, 160 + shift, (size[1], size[0], 3), np.uint8)
        Image.fromarray(values).save(folder / label / f"{number}.png")


def test_classes_told_apart_by_brightness_are_a_shortcut(tmp_path: Path, examine: Examine) -> None:
    noisy(tmp_path / "light", "day", 30, shift=60)
    noisy(tmp_path / "light", "night", 30)
    found = {one.feature: one for one in examine(tmp_path / "light").shortcuts}
    assert {"brightness", "border"} <= set(found)
    assert found["brightness"].accuracy > 0.95
    assert found["brightness"].chance == 0.5
    assert "aspect ratio" not in found


def test_classes_told_apart_by_shape_are_a_shortcut(tmp_path: Path, examine: Examine) -> None:
    noisy(tmp_path / "shapes", "tall", 30, size=(40, 60))
    noisy(tmp_path / "shapes", "wide", 30, size=(60, 40))
    found = {one.feature for one in examine(tmp_path / "shapes").shortcuts}
    assert "aspect ratio" in found
    assert not found & {"brightness", "border", "picture size"}


def test_classes_that_look_the_same_have_no_shortcut(tmp_path: Path, examine: Examine) -> None:
    for label in ("a", "b", "c"):
        noisy(tmp_path / "same", label, 30)
    assert examine(tmp_path / "same").shortcuts == ()


def test_small_classes_are_named(picture_folder: PictureFolder, examine: Examine) -> None:
    """Hostile 18."""
    top = picture_folder(("cat", "dog"), 12)
    (top / "owl").mkdir()
    shutil.move(top / "dog" / "dog_000.png", top / "owl" / "owl.png")
    assert any("owl" in sentence and "Fewer" in sentence for sentence in examine(top).sentences)


def test_wrong_labels_are_the_ones_that_are_doubted() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 60)
    y = truth.copy()
    wrong = rng.choice(240, 12, replace=False)
    y[wrong] = (y[wrong] + 1) % 4
    probes = [ridge(rng.normal(size=(4, 64))[truth] + 0.8 * rng.normal(size=(240, 64)), y) for _ in range(2)]
    suspects = label_suspects(probes, y)
    assert {one.index for one in suspects} >= set(wrong.tolist())
    assert len(suspects) <= 16
    assert all(one.suggested == truth[one.index] for one in suspects if one.index in wrong)
    assert [one.score for one in suspects] == sorted((one.score for one in suspects), reverse=True)


def test_a_label_that_only_one_judge_doubts_is_left_in_peace() -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(3), 50)
    y = truth.copy()
    y[0] = 1
    sure = ridge(rng.normal(size=(3, 64))[truth] + 0.5 * rng.normal(size=(150, 64)), y)
    fooled = ridge(rng.normal(size=(3, 64))[y] + 0.5 * rng.normal(size=(150, 64)), y)
    assert [one.index for one in label_suspects([sure, sure], y)] == [0]
    assert label_suspects([sure, fooled], y) == []


def test_probabilities_are_probabilities_and_keep_the_order() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(50, 4))
    p = probabilities(scores, scores.argmax(axis=1))
    assert p.sum(axis=1) == pytest.approx(1)
    assert (p.argmax(axis=1) == scores.argmax(axis=1)).all()


def zoo_check(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zoo", "check", *arguments, "--home", str(home)]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_prints_one_document_and_keeps_progress_apart(
    picture_folder: PictureFolder, tmp_path: Path
) -> None:
    done = zoo_check(str(picture_folder(2, 12)), "--json", "--quick", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout))[: len(KEYS)] == KEYS
    assert "decode 24/24" in done.stderr


@pytest.mark.parametrize("source", ["/nowhere", "empty", "words.zip"])
def test_the_command_says_what_can_be_fixed_in_one_line(source: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.zip").write_bytes(b"words")
    done = zoo_check(str(tmp_path / source), "--json", home=tmp_path / "home")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_planted_wrong_labels_in_the_sample_are_found(store: Store, settings: Settings, tmp_path: Path) -> None:
    """Real networks, real drawings: four birds among the vehicles, four vehicles among the birds."""
    top = tmp_path / "sample"
    shutil.copytree(TOP / "zoo" / "sample", top, ignore=shutil.ignore_patterns("fruit", "homes", "music", "bugs"))
    chosen = {label: sorted((top / label).glob("*.jpg"))[5:25:5] for label in ("birds", "vehicles")}
    planted = set()
    for label, other in (("birds", "vehicles"), ("vehicles", "birds")):
        for path in chosen[label]:
            shutil.move(path, top / other / path.name)
            planted.add(f"{other}/{path.name}")
    suspects = check(intake(top, store, settings), store, settings).label_suspects
    found = {suspect["path"] for suspect in suspects}
    assert len(found & planted) >= 3
    assert len(found - planted) <= 2
