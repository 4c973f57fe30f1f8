"""The tournament on tiny networks with random weights, where pixels are hard to beat, and its background process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.conftest import PictureFolder
from tests.zoo.test_sources import TINY, give_weights
from zoo import sources
from zoo.budget import FIRST_ROUND, Pace, affordable, busyness, rounds, start, worth_export
from zoo.compare import Question, compare
from zoo.comparisons import Comparisons
from zoo.dataset import Dataset, split
from zoo.errors import BackboneUnavailable, NotFound, TooShort
from zoo.features import Extractor
from zoo.intake import intake
from zoo.onnx_engine import likeness
from zoo.report import chosen_of, strategy_of
from zoo.settings import Settings
from zoo.store import Store

TWO = tuple(f"timm/{name}" for name in TINY[:2])


@pytest.fixture
def dataset(picture_folder: PictureFolder, store: Store, settings: Settings) -> Dataset:
    for name in TINY[:2]:
        give_weights(settings, name)
    return intake(picture_folder(3, 12), store, settings)


def test_every_row_has_its_interval_and_the_last_step_advises(
    dataset: Dataset, store: Store, settings: Settings
) -> None:
    steps = list(compare(dataset, Question(backbones=TWO), store, settings))
    assert [len(step.reports) for step in steps[:3]] == [0, 1, 2]
    assert steps[0].baseline is not None
    found = json.loads(json.dumps(steps[-1].as_json()))
    for row in [*found["backbones"], found["baseline"]]:
        assert row["interval"][0] <= row["accuracy"] <= row["interval"][1]
        assert row["taps"][-1]["accuracy"] == row["accuracy"]
        assert row["ms_per_picture"] > 0
        assert row["best_tap"] in [tap["name"] for tap in row["taps"]]
    assert sum(row["p_best"] for row in found["backbones"]) == pytest.approx(1)
    assert found["chance"] == pytest.approx(1 / 3)
    assert found["plan"]["backbone"] in found["ties"]
    assert found["sentence"].endswith(".")
    assert found["quadrant"]["cell"].startswith("little, ")


def test_finalists_are_set_against_the_best_and_scores_stand_beside_the_probe(
    dataset: Dataset, store: Store, settings: Settings
) -> None:
    found = list(compare(dataset, Question(backbones=TWO), store, settings))[-1].as_json()
    best, other = found["backbones"]
    assert best["versus_best"] is None
    low, high = other["versus_best"]["difference"]
    assert -1 <= low <= high <= 1
    assert 0 < other["versus_best"]["mid_p"] <= 1
    for row in found["backbones"]:
        assert all(isinstance(row[name], float) for name in ("logme", "hscore", "transrate", "balanced_accuracy"))
        assert row["torch_ms_per_picture"] > 0
    assert found["baseline"]["leep"] is None


@pytest.mark.slow
def test_permuted_labels_leave_chance_inside_the_winner_s_interval(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    for name in TINY:
        give_weights(settings, name)
    true = intake(picture_folder(3, 16), store, settings)
    question = Question(backbones=tuple(f"timm/{name}" for name in TINY), thermometer=False)

    def best(labels: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[dict[str, Any], float]:
        items = [replace(item, label=int(label)) for item, label in zip(true.items, labels, strict=True)]
        found = list(compare(replace(true, items=items), question, store, settings))[-1]
        return found.as_json()["backbones"][0], found.chance

    row, chance = best(true.y)
    assert row["interval"][0] > chance
    inside = 0
    for seed in range(20):
        row, chance = best(np.random.default_rng(seed).permutation(true.y))
        inside += row["interval"][0] <= chance <= row["interval"][1]
    assert inside >= 18  # what 95 % of 20 are, less one standard deviation of a binomial


def test_a_budget_is_used_and_not_overrun() -> None:
    pace = Pace(pictures=200, forward=0.02, probing=0.1)
    assert affordable([400, 800], pace, left=100.0) == [400, 800]
    (last,) = affordable([400, 800], pace, left=4.0)
    assert 200 < last < 400
    assert 0.9 * 4.0 < pace.costs(last) <= 4.0
    assert affordable([400, 800], pace, left=0.2) == []
    assert rounds(100_000, budget=60.0)[0] < 128 <= FIRST_ROUND * 2
    assert rounds(400) == [100, 200, 400]


def test_an_export_is_weighed_against_the_budget() -> None:
    assert worth_export(500, torch_seconds=0.03, saved=0.4, cost=1.3, left=float("inf"))
    assert not worth_export(50, torch_seconds=0.03, saved=0.4, cost=1.3, left=float("inf"))
    assert worth_export(500, torch_seconds=0.03, saved=0.4, cost=1.8, left=15.0)
    assert not worth_export(500, torch_seconds=0.03, saved=0.4, cost=1.8, left=3.0)  # 100 pictures, or 66 after it
    assert worth_export(5000, torch_seconds=0.03, saved=0.4, cost=1.8, left=15.0)  # neither suffices for all
    assert not worth_export(500, torch_seconds=0.03, saved=0.4, cost=1.8, left=-1.0)
    assert not worth_export(0, torch_seconds=0.03, saved=0.4, cost=1.8, left=15.0)


def test_a_budget_that_went_before_the_start_is_refused_with_the_least_that_is_needed(
    dataset: Dataset, store: Store, settings: Settings
) -> None:
    assert busyness(0.0, 1.0) == busyness(1.0, 2.0) == 1.0
    assert busyness(6.0, 2.0) == pytest.approx(3.0)
    assert start(torch_there=False, known=False) > start(torch_there=True, known=False) > start(True, known=True)
    with pytest.raises(TooShort, match=r"10 seconds are not enough: 9 went .* Give \d+ seconds at least"):
        next(compare(dataset, Question(backbones=TWO, budget=10.0), store, settings, before=9.0))


@pytest.mark.slow
def test_a_budget_too_short_is_refused_with_one_that_suffices(
    picture_folder: PictureFolder, settings: Settings
) -> None:
    data = str(picture_folder(4, 60))
    refused = _zoo("compare", data, "--budget", "1", "--json", home=settings.home)
    least = re.search(r"Give (\d+) seconds at least", refused.stderr)
    assert refused.returncode == 2
    assert least is not None, refused.stderr
    given, begun = 4 * int(least[1]), time.time()
    done = _zoo("compare", data, "--budget", str(given), "--json", home=settings.home)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    sys.stderr.write(f"a budget of {given} s: {time.time() - begun:.1f} s, {found['pictures']} pictures\n")  # told only
    assert 0 < found["pictures"] <= 240 - found["held_back"]


def test_the_test_part_is_never_looked_at(dataset: Dataset, store: Store, settings: Settings) -> None:
    found = list(compare(dataset, Question(backbones=TWO), store, settings))[-1]
    held = split(dataset).of("test")
    assert found.pictures + found.held_back == len(dataset)
    assert found.held_back == len(held) > 0
    known = Extractor(sources.card(TWO[0], settings), dataset, store, settings)
    assert not {dataset.items[index].sha for index in held} & set(known._row)


def test_a_second_comparison_computes_nothing_and_says_the_same(
    dataset: Dataset, store: Store, settings: Settings
) -> None:
    first = list(compare(dataset, Question(backbones=TWO), store, settings))[-1].as_json()
    again = list(compare(dataset, Question(backbones=TWO), store, settings))[-1].as_json()
    assert first["seconds"]["forward"] > 0 == again["seconds"]["forward"]
    for one, other in zip(first["backbones"], again["backbones"], strict=True):
        assert one["taps"] == other["taps"]
        assert one["p_best"] == other["p_best"]


def test_ten_more_pictures_cost_ten_more_forwards(
    picture_folder: PictureFolder, dataset: Dataset, store: Store, settings: Settings
) -> None:
    seen: list[int] = []
    for each in (12, 14):
        data = intake(picture_folder(3, each), store, settings)
        extractor = Extractor(sources.card(TWO[0], settings), data, store, settings)
        extractor.rows(np.arange(len(data)), lambda done, total: seen.append(total))
    assert set(seen) == {36, 6}


def test_a_damaged_cache_is_computed_again(dataset: Dataset, store: Store, settings: Settings) -> None:
    everything = np.arange(len(dataset))
    first = Extractor(sources.card(TWO[0], settings), dataset, store, settings).rows(everything)
    for shard in store.features.glob("*/*/tap0.npy"):
        shard.write_bytes(shard.read_bytes()[:200])
    again = Extractor(sources.card(TWO[0], settings), dataset, store, settings).rows(everything)
    assert likeness(first.taps, again.taps) > 0.999  # to the engine's exactness: a busy machine may have turned to one


def test_a_backbone_that_cannot_be_had_is_named_and_the_rest_goes_on(
    dataset: Dataset, store: Store, settings: Settings
) -> None:
    found = list(compare(dataset, Question(backbones=(*TWO, "timm/resnet50.tv_in1k")), store, settings))[-1]
    assert len(found.reports) == 2
    assert found.unavailable[0]["id"] == "timm/resnet50.tv_in1k"
    with pytest.raises(BackboneUnavailable):
        list(compare(dataset, Question(backbones=("timm/resnet50.tv_in1k",)), store, settings))


def test_a_backbone_whose_weights_turn_out_damaged_drops_out_and_the_rest_goes_on(
    dataset: Dataset, store: Store, settings: Settings
) -> None:
    (settings.home / "models" / TINY[1] / "model.safetensors").write_bytes(b"\xff" * 99)
    found = list(compare(dataset, Question(backbones=TWO), store, settings))[-1]
    assert [report.card.id for report in found.reports] == [TWO[0]]
    assert [row["id"] for row in found.unavailable] == [TWO[1]]
    with pytest.raises(BackboneUnavailable, match="cannot be read"):
        list(compare(dataset, Question(backbones=TWO[1:]), store, settings))


def test_a_limit_looks_at_so_many_pictures(dataset: Dataset, store: Store, settings: Settings) -> None:
    found = list(compare(dataset, Question(backbones=TWO[:1], limit=15), store, settings))[-1]
    assert found.pictures == 15
    assert np.ptp(np.bincount(dataset.y)) == 0


@pytest.mark.slow
def test_a_comparison_in_the_background_is_found_by_anyone(dataset: Dataset, store: Store, settings: Settings) -> None:
    asked = Comparisons(store, settings).start(dataset.id, TWO)
    found = _finished(Comparisons(store, settings), asked)
    assert found["state"] == "finished"
    assert len(found["backbones"]) == 2
    assert found["message"] == found["sentence"]
    latest = Comparisons(store, settings).latest(dataset.id)
    assert latest is not None
    assert latest["id"] == asked


def test_a_comparison_whose_process_is_killed_says_so(dataset: Dataset, store: Store, settings: Settings) -> None:
    comparisons = Comparisons(store, settings)
    asked = comparisons.start(dataset.id, TWO)
    while not (store.comparisons / asked / "process.json").exists():
        time.sleep(0.02)
    comparisons._children[0].kill()
    comparisons._children[0].wait()
    assert comparisons.read(asked)["state"] == "failed"
    with pytest.raises(NotFound):
        comparisons.read("../" + asked)


def test_the_command_prints_one_document(picture_folder: PictureFolder, settings: Settings) -> None:
    done = _zoo("compare", str(picture_folder(2, 8)), "--backbones", "pixels/4x4", home=settings.home)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("Choose one.")
    done = _zoo("list", "--offline", "--json", home=settings.home)
    rows = json.loads(done.stdout)
    assert {row["source"] for row in rows} == {"embedded", "pixels"}
    assert all(row["ready"] == "embedded" and row["licence"] for row in rows)
    assert _zoo("list", "--source", "nowhere", home=settings.home).returncode == 2


def _zoo(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zoo", *words, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)


def _finished(comparisons: Comparisons, asked: str) -> dict[str, Any]:
    for _ in range(900):
        found = comparisons.read(asked)
        if found["state"] != "running":
            return found
        time.sleep(0.1)
    raise AssertionError("the comparison did not end within 90 s")


def test_a_comparison_stopped_at_once_stays_stopped(dataset: Dataset, store: Store, settings: Settings) -> None:
    comparisons = Comparisons(store, settings)
    asked = comparisons.start(dataset.id, TWO)
    comparisons.stop(asked)
    assert comparisons.read(asked)["state"] == "stopped"
    comparisons._children[0].wait(20)
    assert comparisons.read(asked)["state"] == "stopped"


def test_classes_only_in_the_test_part_do_not_stop_a_comparison(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    give_weights(settings, TINY[0])
    top = picture_folder(("ant", "cow"), 8, inside="train")
    picture_folder(("ant", "bat", "cow"), 4, inside="test", seed=1)
    found = list(compare(intake(top, store, settings), Question(backbones=TWO[:1]), store, settings))[-1]
    assert found.pictures == 16
    assert found.held_back == 12


@pytest.mark.parametrize(
    ("p_large", "gain", "joined", "lowest", "advised"),
    [
        (0.0, (-0.02, 0.01), (-0.01, -0.03, 0.01), 0.8, ("linear_head", "")),
        (0.0, (-0.02, 0.01), (0.01, -0.01, 0.03), 0.8, ("earlier_layer", "a, b, c")),
        (0.0, (-0.02, 0.01), (0.0001, -0.01, 0.03), 0.8, ("linear_head", "")),  # 0.0 % of the squares
        (0.0, (-0.02, 0.01), (0.02, 0.01, 0.03), 0.8, ("earlier_layer", "a, b, c")),
        (0.0, (0.01, 0.05), (0.02, 0.01, 0.03), 0.8, ("earlier_layer", "")),
        (0.3, (-0.02, 0.01), (0.02, 0.01, 0.03), 0.8, ("last_blocks", "")),
        (0.3, (0.01, 0.05), (-0.01, -0.03, 0.01), 0.8, ("earlier_layer", "")),
        (0.7, (0.01, 0.05), (0.02, 0.01, 0.03), 0.8, ("full", "")),
        (0.7, (-0.02, 0.01), (0.02, 0.01, 0.03), 0.997, ("linear_head", "")),  # at most 0.3 points could be gained
    ],
)
def test_every_strategy_is_advised_where_what_was_measured_asks_for_it(
    p_large: float,
    gain: tuple[float, float],
    joined: tuple[float, float, float],
    lowest: float,
    advised: tuple[str, str],
) -> None:
    quadrant = SimpleNamespace(p_large=p_large, gain=0.03, gain_interval=gain)
    together = SimpleNamespace(tap=SimpleNamespace(name="a, b, c"), gain=joined)
    backbone = SimpleNamespace(interval=(lowest, 1.0), brier=0.3, joined=together)
    *found, why = strategy_of(backbone, backbone, quadrant)  # type: ignore[arg-type]
    assert tuple(found) == advised
    assert ("likelier err" in why) == (advised[1] != "" and joined[1] <= 0)


def test_depths_that_know_different_things_are_advised_together_and_trained_so(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    give_weights(settings, TINY[0])
    dataset = intake(picture_folder(3, 12), store, settings)
    *_, last = compare(dataset, Question(backbones=TWO[:1]), store, settings)
    row = last.as_json()["backbones"][0]
    names = [tap["name"] for tap in row["taps"]][-3:]
    assert row["joined"]["tap"]["name"] == ", ".join(names)
    gain, low, high = row["joined"]["gain"]
    assert gain == pytest.approx(row["brier"] - row["joined"]["brier"])
    assert low <= gain <= high
    assert last.plan is not None
    assert last.plan["taps"] == (", ".join(names) if last.plan["strategy"] == "earlier_layer" and gain > 0 else "")


def test_of_backbones_that_tie_the_one_that_errs_least_is_advised_unless_a_faster_errs_as_little() -> None:
    def one(name: str, brier: float, ms: float) -> SimpleNamespace:
        return SimpleNamespace(name=name, least_brier=brier, ms_per_picture=ms)

    small, large, slow = one("small", 0.360, 4.0), one("large", 0.340, 9.0), one("slow", 0.338, 30.0)
    assert chosen_of([small, large, slow]).name == "large"  # type: ignore[list-item,attr-defined]
    small.least_brier = 0.342
    assert chosen_of([small, large, slow]).name == "small"  # type: ignore[list-item,attr-defined]


def test_a_backbone_for_which_the_budget_left_no_time_is_named_and_the_others_are_compared(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    for name in TINY[:2]:
        give_weights(settings, name)
    dataset = intake(picture_folder(2, 8), store, settings)
    question = Question(backbones=tuple(f"timm/{name}" for name in TINY[:2]), budget=1.0)
    *_, last = compare(dataset, question, store, settings)
    assert [row.card.id for row in last.reports] == [f"timm/{TINY[0]}"]
    assert [row["id"] for row in last.unavailable] == [f"timm/{TINY[1]}"]
    assert last.plan is not None
