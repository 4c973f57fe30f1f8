"""Features kept on disk: added to, mapped from files where they are large, and what depth they are best read at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conftest import PictureFolder
from tests.zoo.test_sources import TINY, give_weights
from zoo import sources
from zoo.features import Extractor, Features
from zoo.forward import forward, twin
from zoo.intake import intake
from zoo.judging import judged
from zoo.pictures import Pictures
from zoo.report import ProbeReport
from zoo.settings import Settings
from zoo.store import Store


def test_features_of_several_shards_come_back_in_the_order_asked_for(
    picture_folder: PictureFolder, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_weights(settings, TINY[0])
    monkeypatch.setattr("zoo.features.BLOCK", 5)
    dataset = intake(picture_folder(3, 8), store, settings)
    card = sources.card(f"timm/{TINY[0]}", settings)
    whole = Extractor(card, dataset, store, settings).rows(np.arange(24))
    order = np.random.default_rng(0).permutation(24)
    again = Extractor(card, dataset, store, settings).rows(order)
    assert again.seconds == 0
    for tap, shuffled in zip(whole.taps, again.taps, strict=True):
        np.testing.assert_array_equal(tap[order], shuffled)


def test_large_features_are_mapped_from_a_file_and_are_the_same(
    picture_folder: PictureFolder, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_weights(settings, TINY[0])
    dataset = intake(picture_folder(2, 8), store, settings)
    extractor = Extractor(sources.card(f"timm/{TINY[0]}", settings), dataset, store, settings)
    small = extractor.rows(np.arange(16))
    monkeypatch.setattr("zoo.features.IN_MEMORY", 0)
    large = extractor.rows(np.arange(16))
    assert all(isinstance(tap, np.memmap) for tap in large.taps)
    np.testing.assert_array_equal(small.head, large.head)


def test_the_pretrained_heads_own_classes_can_be_told_without_loading_it_again(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    dataset = intake(picture_folder(2, 4), store, settings)
    card = sources.card("embedded/tf_efficientnet_lite0", settings)
    first = Extractor(card, dataset, store, settings).rows(np.arange(8)).logits(slice(0, 3))
    again = Extractor(card, dataset, store, settings).rows(np.arange(8)).logits(slice(0, 3))
    assert first is not None
    assert again is not None
    assert first.shape == (3, 1000)
    np.testing.assert_array_equal(first, again)


def test_batches_shared_between_devices_give_the_features_of_one_in_their_order(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    import torch

    give_weights(settings, TINY[0])
    pixels = Pictures.open(store, intake(picture_folder(2, 20), store, settings))
    pictures = [pixels[index] for index in range(40)]
    backbone = sources.load(f"timm/{TINY[0]}", settings)
    seen: list[int] = []
    shared = forward(backbone, pictures, lambda done, _: seen.append(done), [twin(backbone, torch.device("cpu"))])
    for one, other in zip(forward(backbone, pictures).taps, shared.taps, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert seen == [16, 32, 40]


@pytest.mark.slow
def test_a_backbone_whose_last_block_is_scrambled_is_best_read_earlier(store: Store, settings: Settings) -> None:
    import torch

    dataset = intake("sample", store, settings)
    backbone: Any = sources.load("embedded/tf_efficientnet_lite0", settings)
    pixels = Pictures.open(store, dataset)
    pictures, everything = [pixels[index] for index in range(len(dataset))], np.arange(len(dataset))

    def report(name: str) -> ProbeReport:
        features = Features(backbone.card, tuple(forward(backbone, pictures).taps), 1.0, 1.0, 0.0)
        return judged(features, store.root / name, dataset, everything, scores=False)

    whole = report("whole")
    generator = torch.Generator().manual_seed(0)
    assert len(backbone.model.blocks[-1]) == 1
    for values in backbone.model.blocks[-1].state_dict().values():  # what it normalises included
        if values.is_floating_point():
            order = torch.randperm(values.numel(), generator=generator)
            values.copy_(values.flatten()[order].view_as(values))
    scrambled = report("scrambled")
    assert (whole.best_tap, scrambled.best_tap) == ("head", "blocks.5")
    assert scrambled.taps[:6] == whole.taps[:6]
    assert scrambled.taps[6].accuracy < scrambled.taps[5].accuracy < whole.taps[6].accuracy
