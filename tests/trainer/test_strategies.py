"""Every strategy on tiny networks: what is cut, cached, adapted and joined gives what the whole network gives."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer import anatomy
from trainer.anatomy import EMBEDDED
from trainer.cost import A_HEAD, Sizes, Speed, cost
from trainer.events import Finished, Noted, Started
from trainer.exports.folder import EXPORT
from trainer.folder import RunFolder
from trainer.job import Job, Trained
from trainer.plan import Plan
from trainer.plans import suggest
from trainer.proof import Order, Proof
from trainer.recipes import recipe
from trainer.strategies import strategies, strategy
from trainer.strategies.earlier_layer import Tried, chosen
from trainer.tapsets import asked
from trainer.work import _finish
from zoo import saved, sources
from zoo.backbone import Preprocessing
from zoo.dataset import Dataset
from zoo.errors import BadPlan
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store, write_json
from zoo.weights import WEIGHTS

PictureFolder = Callable[..., Path]
NETWORKS = {"test_efficientnet": "test_efficientnet.r160_in1k", "test_vit": "test_vit.r160_in1k"}


@pytest.fixture
def data(store: Store, settings: Settings, picture_folder: PictureFolder) -> Dataset:
    """Three classes of 16, and two tiny networks of timm's with random weights in the home."""
    import timm
    import torch
    from safetensors.torch import save_file

    for name, known in NETWORKS.items():
        torch.manual_seed(0)
        folder = settings.home / "models" / known
        folder.mkdir(parents=True)
        state = timm.create_model(name, pretrained=False).state_dict()
        save_file({key: value.contiguous() for key, value in state.items()}, folder / WEIGHTS)
    return intake(picture_folder(classes=3, each=16), store, settings)


def plan_for(dataset: Dataset, name: str, chosen_strategy: str, **more: Any) -> Plan:
    knobs: dict[str, Any] = {"epochs": 1, "batch": 8, "wise": False, "learning_rate": 1e-3} | more
    return Plan(dataset=dataset.id, backbone=f"timm/{NETWORKS[name]}", strategy=chosen_strategy, **knobs)


def trained(plan: Plan, folder: Path, settings: Settings) -> tuple[Job, Trained]:
    folder.mkdir(parents=True)
    job = Job.open(plan, folder, settings, lambda: False)
    made = [event for event in strategy(plan.strategy).fit(job) if isinstance(event, Trained)]
    return job, made[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "which", "loaders"),
    [
        ("test_efficientnet", "earlier_layer", {"load.py"}),
        ("test_efficientnet", "last_blocks", {"timm", "transformers"}),
        ("test_vit", "lora", {"timm", "transformers"}),
    ],
)
def test_what_a_strategy_trains_is_exported_and_predicts_the_same(
    name: str, which: str, loaders: set[str], data: Dataset, tmp_path: Path, settings: Settings
) -> None:
    job, made = trained(plan_for(data, name, which), tmp_path / "run", settings)
    _finish(job, made, 0.0)
    classifier = tmp_path / "run" / "classifier"
    proof = Proof.of(classifier, job.store)
    parity = EXPORT.write(Order(classifier=classifier, to=str(tmp_path / "out"), store=job.store, proof=proof))[
        "parity"
    ]
    assert set(parity["loaders"]) == loaders
    assert parity["max_abs_dp"] < 1e-4
    names = saved.opened(tmp_path / "out", 3).state_dict().keys()
    assert not [key for key in names if "lora" in key], "a merged network is a plain one"


def test_cached_activations_give_the_logits_that_pictures_give(
    data: Dataset, tmp_path: Path, settings: Settings
) -> None:
    import torch

    from trainer.halves import halves
    from trainer.networks import embed, logits
    from trainer.prefix import Activations

    plan = plan_for(data, "test_efficientnet", "last_blocks", views=2)
    job = Job.open(plan, tmp_path, settings, lambda: False)
    torch.manual_seed(1)
    network = job.backbone.network(3)
    parts, cpu = halves(network, 2, job.preprocessing.size), torch.device("cpu")
    kept = Activations(job, parts, cpu)
    list(kept.build())
    rows = job.split.of("train", "select")
    cached = logits(parts.after, kept.embed(parts.after, rows, cpu))
    whole = logits(network, embed(network, job.shown(rows), job.preprocessing, cpu))
    assert np.abs(cached - whole).max() <= 1e-4
    looked: list[int] = []

    def look(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        looked.extend(indices.tolist())
        return embed(network, job.shown(indices), job.preprocessing, cpu)

    mixed = np.random.default_rng(0).permutation(np.concatenate([rows[:5], job.split.of("test")]))
    found = kept.embedding(parts.after, look)(mixed)
    assert np.abs(found - embed(network, job.shown(mixed), job.preprocessing, cpu)).max() <= 1e-4
    assert not set(looked) & set(rows.tolist()), "what is kept is not run through the frozen part again"
    again = next(iter(Activations(job, parts, cpu).build()))
    assert again.total == 0, "a second run computes nothing"
    seen = {kept.dataset(epoch)[int(rows[0])][0].tobytes() for epoch in range(4)}
    assert len(seen) == 2, "each of the views has its turn"


def test_a_run_measures_what_lies_behind_each_tap_for_the_next_plan_and_cuts_the_same_everywhere(
    data: Dataset, tmp_path: Path, settings: Settings
) -> None:
    import torch

    from trainer.halves import halves

    job = Job.open(plan_for(data, "test_efficientnet", "last_blocks"), tmp_path, settings, lambda: False)
    guessed = anatomy.known(job.card, settings)
    told = [event.message for event in strategy("last_blocks").fit(job) if isinstance(event, Noted)]
    assert f"up to {job.card.taps[guessed.deep()]} stays" in told[0], "not what one machine's clock finds"
    found = anatomy.known(job.card, settings)
    assert found != guessed
    assert list(found.before) == sorted(found.before)
    assert list(found.kept) == sorted(found.kept, reverse=True)
    assert found.whole > max(found.kept) > 0
    network, size = job.backbone.network(3), job.preprocessing.size
    x = torch.rand(1, 3, size, size)
    made = [halves(network, tap, size).activations(x) for tap in range(len(found.numbers))]
    assert tuple(one.numel() for one in made) == found.numbers


def test_activations_without_room_are_fewer_or_refused_before_they_are_computed(
    data: Dataset, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from trainer import prefix
    from trainer.halves import halves

    job = Job.open(plan_for(data, "test_efficientnet", "last_blocks"), tmp_path, settings, lambda: False)
    parts = halves(job.backbone.network(3), 2, job.preprocessing.size)
    whole = prefix.Activations(job, parts, torch.device("cpu"))
    monkeypatch.setattr(prefix, "free_bytes", lambda _: whole.needed - 1)
    monkeypatch.setattr(prefix, "cached", lambda _: [])
    half = prefix.Activations(job, parts, torch.device("cpu"))
    assert (half.views, half.needed) == (whole.views, whole.needed // 2), "rather less exact than fewer"
    monkeypatch.setattr(prefix, "free_bytes", lambda _: whole.needed // 2 - 1)
    assert prefix.Activations(job, parts, torch.device("cpu")).views == whole.views - 1
    monkeypatch.setattr(prefix, "free_bytes", lambda _: 10)
    with pytest.raises(BadPlan, match="later cut"):
        prefix.Activations(job, parts, torch.device("cpu"))


def networks() -> Iterator[tuple[Any, int]]:
    import timm
    from transformers import ViTConfig

    from zoo import tokens, vision

    small: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    for name in ("test_vit", "test_efficientnet"):
        yield timm.create_model(name, num_classes=3).eval(), 96 if name != "test_vit" else 160
    yield vision.create("mobilenet_v3_small", 3).eval(), 64
    yield tokens.Tokens(tokens.create(ViTConfig(image_size=32, patch_size=8, **small), 3)).eval(), 32


def test_a_network_cut_at_a_tap_or_joined_survives_its_folder(tmp_path: Path) -> None:
    import torch

    from trainer.halves import halves
    from zoo.load import load
    from zoo.truncated import truncated

    for number, (network, size) in enumerate(networks()):
        x = torch.rand(2, 3, size, size)
        with torch.inference_mode():
            maps = network.forward_intermediates(x)[1]
        count = len(maps) + 1
        parts = halves(copy.deepcopy(network), 1, size)
        assert (parts.after(parts.activations(x)) - network(x)).abs().max() < 1e-4
        for taps in ((1,), (0, 1, count - 1)):
            made = truncated(copy.deepcopy(network), taps, count, size, 3)
            folder = tmp_path / f"{number}-{len(taps)}"
            folder.mkdir()
            saved.write(made, folder, ("a", "b", "c"), Preprocessing(size=size))
            with torch.inference_mode():
                said = made(x)
                assert torch.equal(saved.opened(folder, 3).eval()(x), said)
                if saved.library(folder) == "truncated":
                    assert (load(folder)(x) - said).abs().max() < 1e-5


def test_lora_is_refused_for_a_convolutional_network_before_it_starts(data: Dataset, settings: Settings) -> None:
    with pytest.raises(BadPlan, match="convolutional"):
        suggest(None, data, settings, strategy="lora")


def test_each_strategy_has_a_recipe_and_costs_what_it_trains(data: Dataset, settings: Settings) -> None:
    card = sources.card("embedded/tf_efficientnet_lite0", settings)
    written, sizes = EMBEDDED[card.id], Sizes(every=1000, train=600, select=100)
    made = {}
    for name in set(strategies()) - {"lora"}:
        plan = Plan(dataset="d", backbone=card.id, strategy=name, **recipe(name, card, written, 600, "little, alike"))
        made[name] = cost(plan, card, sizes, Speed(frozen=0.01, torch=0.02), written)
    assert made["linear_head"].seconds < made["last_blocks"].seconds < made["full"].seconds
    assert made["linear_head"].memory_mb < made["last_blocks"].memory_mb < made["full"].memory_mb
    alike, unlike = (recipe("last_blocks", card, written, 600, cell) for cell in ("little, alike", "little, unlike"))
    assert card.taps.index(unlike["cut"]) < card.taps.index(alike["cut"])
    assert unlike["learning_rate"] > alike["learning_rate"]
    first = recipe("last_blocks", card, written, 600, "little, unlike", card.taps[0])
    assert first["cut"] == card.taps[0], "what serves best as it is stays as it is"
    told = suggest(None, data, settings, strategy="last_blocks")
    assert told.cut in card.taps
    assert told.predicted_memory_mb
    assert told.predicted_disk_mb
    heads = [suggest(None, data, settings, strategy="earlier_layer", taps=taps) for taps in ("blocks.3", "")]
    one, four = (plan.predicted_seconds or 0 for plan in heads)
    assert four - one > 3 * A_HEAD, "each set of taps that it tries has a head fitted to it"


def test_seconds_foretold_learn_from_what_runs_took_here(data: Dataset, settings: Settings, store: Store) -> None:
    first = suggest(None, data, settings, strategy="full")
    assert first.predicted_seconds
    for number in range(8):
        plan = suggest(None, data, settings, strategy="full")
        folder = RunFolder(store.runs / f"run{number}")
        folder.path.mkdir(parents=True)
        folder.write_plan(plan)
        begun = Started(step=0, steps=1, epochs=1, device="cpu", processes=1, precision="no", pid=1)
        folder.log.append(begun)
        took = 2 * first.predicted_seconds
        folder.log.append(Finished(test={}, seconds=took, forward_seconds=0.0, peak_rss_mb=1.0))
        write_json(folder.path / "evaluation.json", {})
    told = suggest(None, data, settings, strategy="full").predicted_seconds
    assert told == pytest.approx(2 * first.predicted_seconds, rel=0.1)
    assert suggest(None, data, settings, strategy="linear_head").predicted_scale == 1.0


def test_a_tap_that_is_not_there_is_refused_and_a_shallow_network_taken_where_it_does_as_well() -> None:
    assert asked("b, a", ("a", "b", "head")) == [(0, 1)]
    with pytest.raises(BadPlan, match="no tap"):
        asked("z", ("a", "b", "head"))
    head: Any = type("Head", (), {"expected": 0.9})()
    deep, shallow = Tried((4,), head, 0.500), Tried((1,), head, 0.510)
    assert chosen([deep, shallow], 100) is shallow
    assert chosen([deep, replace(shallow, loss=0.6)], 100) is deep
