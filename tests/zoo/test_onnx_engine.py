"""Exported networks: the same features as torch's, kept and trusted only where that is proven."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import PictureFolder, drawn
from tests.zoo.test_sources import TINY, give_weights
from zoo import sources
from zoo.backbone import Backbone, stack
from zoo.features import Extractor
from zoo.intake import intake
from zoo.onnx_engine import NEAR, WAYS, EngineBackbone, Exportable, How, export, likeness, open_engine
from zoo.runtime import Runtime, Sight, faithful
from zoo.settings import Settings
from zoo.store import Store

PICTURES = [np.asarray(drawn(number % 3, number, (90, 70))) for number in range(6)]


@pytest.fixture
def backbone(settings: Settings) -> Backbone:
    give_weights(settings, TINY[0])
    return sources.load(f"timm/{TINY[0]}", settings)


def seen(backbone: Backbone) -> Sight:
    batch = stack(backbone, PICTURES)
    return Sight(batch, backbone.forward(batch))


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("piece", [1, 4])
def test_an_exported_network_gives_torchs_features_for_every_picture_and_tap(
    backbone: Backbone, tmp_path: Path, engine: str, piece: int
) -> None:
    assert isinstance(backbone, Exportable)
    export(backbone, tmp_path / "network.onnx")
    sight = seen(backbone)
    run = open_engine(tmp_path / "network.onnx", How(engine, piece), threads=2)
    found = run(sight.batch)
    assert [tap.shape for tap in found] == [tap.shape for tap in sight.taps]
    assert likeness(found, sight.taps) > 0.999999
    assert likeness(run(sight.batch[:1]), [tap[:1] for tap in sight.taps]) > 0.999999


def test_the_exported_file_names_no_place_on_this_machine(backbone: Backbone, tmp_path: Path) -> None:
    assert isinstance(backbone, Exportable)
    export(backbone, tmp_path / "network.onnx")
    content = (tmp_path / "network.onnx").read_bytes()
    assert b"site-packages" not in content
    assert str(Path(__file__).parents[2]).encode() not in content


def test_features_that_differ_or_are_no_numbers_are_unlike() -> None:
    rng = np.random.default_rng(0)
    taps = [rng.normal(size=(4, 8)).astype(np.float32), np.zeros((4, 3), dtype=np.float32)]
    assert likeness(taps, taps) == pytest.approx(1)
    assert likeness([taps[0] * 2, taps[1]], taps) < NEAR
    assert likeness([-taps[0], taps[1]], taps) < NEAR
    assert likeness([taps[0] * np.nan, taps[1]], taps) < NEAR
    rounded = [taps[0] + 0.05 * rng.normal(size=(4, 8)).astype(np.float32), taps[1]]
    assert likeness(rounded, taps) < NEAR


def test_an_engine_is_kept_for_the_next_time_and_a_damaged_one_is_not_used(
    backbone: Backbone, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.runtime._timed", lambda run, batch: (9.0 if run == backbone.forward else 1.0, run(batch)))
    runtime, sight = Runtime(store, settings), seen(backbone)
    assert runtime.known(backbone.card) is None
    chosen, _ = runtime.exported(backbone, sight)
    assert isinstance(chosen, EngineBackbone)
    known = Runtime(store, settings).known(backbone.card)
    assert known is not None
    assert known[1] == 9.0
    assert likeness(known[0].forward(sight.batch), sight.taps) > NEAR
    profile = json.loads(next((store.root / "engines").glob("machine-*.json")).read_text())
    assert len(profile["tried"]) == len(WAYS)
    assert profile["saved"] == pytest.approx(1 - 1 / 9)
    network = next((store.root / "engines").glob("*/network.onnx"))
    network.write_bytes(network.read_bytes()[:-9])
    assert Runtime(store, settings).known(backbone.card) is None


def test_torch_stays_where_it_is_quicker_and_the_export_is_not_tried_again(
    backbone: Backbone, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.runtime._timed", lambda run, batch: (1.0 if run == backbone.forward else 9.0, run(batch)))
    runtime = Runtime(store, settings)
    assert runtime.pays(backbone.card, torch_seconds=1.0, upcoming=100)
    assert runtime.exported(backbone, seen(backbone))[0] is backbone
    assert not runtime.pays(backbone.card, torch_seconds=1.0, upcoming=100)
    assert runtime.known(backbone.card) is None


def test_few_pictures_do_not_pay_for_an_export(backbone: Backbone, store: Store, settings: Settings) -> None:
    runtime = Runtime(store, settings)
    assert not runtime.pays(backbone.card, torch_seconds=0.01, upcoming=100)
    assert runtime.pays(backbone.card, torch_seconds=0.01, upcoming=10_000)


def test_a_single_picture_is_enough_to_try_engines_by(backbone: Backbone, store: Store, settings: Settings) -> None:
    sight = seen(backbone)
    alone = Sight(sight.batch[:1], [tap[:1] for tap in sight.taps])
    chosen, torch_ms = Runtime(store, settings).exported(backbone, alone)
    assert torch_ms > 0
    assert likeness(chosen.forward(alone.batch), alone.taps) > NEAR


def test_an_engine_prepares_pictures_as_its_backbone_does(backbone: Backbone) -> None:
    assert faithful(backbone, PICTURES[0])
    twin = EngineBackbone(backbone.card, backbone.forward, "onnxruntime")
    np.testing.assert_array_equal(twin.prepare(PICTURES[1]), backbone.prepare(PICTURES[1]))


@pytest.mark.slow
def test_with_its_engine_there_an_embedded_backbone_needs_no_torch(
    picture_folder: PictureFolder, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.runtime.COST", 0.0)
    dataset = intake(picture_folder(2, 12), store, settings)
    card = sources.card("embedded/tf_efficientnet_lite0", settings)
    everything = np.arange(len(dataset))
    first = Extractor(card, dataset, store, settings, expected=1000).rows(everything)
    script = (
        "import sys; from pathlib import Path; import numpy as np; from zoo import sources;"
        "from zoo.dataset import Dataset; from zoo.features import Extractor; from zoo.settings import Settings;"
        "from zoo.store import Store; home, name = sys.argv[1:];"
        "settings = Settings(home=Path(home), offline=True, threads=2); store = Store(settings.home);"
        "data = Dataset.load(store, name); card = sources.card('embedded/tf_efficientnet_lite0', settings);"
        "found = Extractor(card, data, store, settings, fresh=True).rows(range(len(data)));"
        "np.save(Path(home) / 'head.npy', found.head); assert found.seconds > 0;"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    if Runtime(store, settings).known(card) is None:
        pytest.skip("torch is quicker than any engine on this machine")
    line = [sys.executable, "-c", script, str(settings.home), dataset.id]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert likeness([np.load(settings.home / "head.npy")], [first.head]) > NEAR
