"""Features kept on disk: added to, mapped from files where they are large, and what depth they are best read at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import PictureFolder
from tests.zoo.test_sources import TINY, give_weights
from zoo import sources
from zoo.features import Extractor
from zoo.forward import forward, twin
from zoo.intake import intake
from zoo.network import normalised
from zoo.pictures import Pictures
from zoo.probe import ridge
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


class CutAfterSixStages:
    """EfficientNet-Lite 0 up to its sixth stage, which no shortcut leads around; a tap after each stage."""

    def __init__(self, whole: Any) -> None:
        self.card, self.prepare, self.model = whole.card, whole.prepare, whole.model

    def forward(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        import torch

        with torch.inference_mode():
            x = normalised(batch, self.card.preprocessing, torch.device("cpu"))
            x = self.model.bn1(self.model.conv_stem(x))
            taps = []
            for stage in self.model.blocks[:6]:
                x = stage(x)
                taps.append(x.mean(dim=(2, 3)).numpy())
        return taps


@pytest.mark.slow
def test_a_backbone_whose_last_block_is_scrambled_is_best_read_earlier(store: Store, settings: Settings) -> None:
    import torch

    dataset = intake("sample", store, settings)
    backbone = CutAfterSixStages(sources.load("embedded/tf_efficientnet_lite0", settings))
    pixels = Pictures.open(store, dataset)
    pictures = [pixels[index] for index in range(len(dataset))]

    def accuracies() -> list[float]:
        return [ridge(tap, dataset.y, dataset.groups).accuracy for tap in forward(backbone, pictures).taps]

    whole = accuracies()
    generator = torch.Generator().manual_seed(0)
    for values in backbone.model.blocks[5].state_dict().values():  # the last block alone, what it normalises included
        if values.is_floating_point():
            order = torch.randperm(values.numel(), generator=generator)
            values.copy_(values.flatten()[order].view_as(values))
    scrambled = accuracies()
    assert scrambled[:5] == whole[:5]
    assert (int(np.argmax(whole)), int(np.argmax(scrambled))) == (5, 4)
    assert scrambled[5] < whole[5]
