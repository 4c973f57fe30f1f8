"""Maps find what an answer hangs on, where that is known; and say so when they don't."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.explain import GRID, agreement, deletion, nearest, occlusion, overlay

SIZE = 64


def asked(shown: NDArray[np.uint8]) -> NDArray[np.float64]:
    """A classifier that only looks at the part in row 2, column 5 and answers by its brightness."""
    part = shown[:, 16:24, 40:48].astype(np.float64).mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - part, part], axis=1)


def picture() -> NDArray[np.uint8]:
    drawn = np.full((SIZE, SIZE, 3), 30, dtype=np.uint8)
    drawn[16:24, 40:48] = 250
    return drawn


def test_occlusion_finds_the_one_part_that_counts() -> None:
    heat = occlusion(asked, picture(), 1)
    assert heat.shape == (GRID, GRID)
    assert int(heat.argmax()) == 2 * GRID + 5
    assert heat[2, 5] > 0.7
    assert np.abs(np.delete(heat.ravel(), 2 * GRID + 5)).max() == 0
    assert (overlay(picture(), heat) != overlay(picture(), np.zeros((GRID, GRID)))).any()


def test_the_deletion_test_tells_a_map_from_a_guess() -> None:
    heat = occlusion(asked, picture(), 1)
    assert deletion(asked, picture(), 1, heat)["faithful"]
    told = deletion(asked, picture(), 1, -heat)
    assert not told["faithful"]
    assert told["area"] > told["chance"]
    assert agreement(heat, heat) == pytest.approx(1)
    assert agreement(heat, np.zeros((7, 7))) == 0


def test_the_nearest_pictures_are_the_most_alike() -> None:
    known = np.random.default_rng(0).normal(size=(50, 8))
    found = nearest(known[7] * 3, known, 3)
    assert found[0][0] == 7
    assert found[0][1] == pytest.approx(1)
    assert found[1][1] >= found[2][1]
    assert nearest(known[7], known[:0], 3) == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "method"), [("test_resnet", "gradcam"), ("test_vit", "rollout")])
def test_a_map_from_inside_comes_with_its_sanity_check(name: str, method: str) -> None:
    import timm

    from trainer.attention import inside
    from zoo.network import preprocessing_of

    network = timm.create_model(name, pretrained=False, num_classes=3)
    how = preprocessing_of(network)
    shown = np.random.default_rng(0).integers(0, 255, (how.size, how.size, 3)).astype(np.uint8)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = inside(network, shown, how, 1)
    assert found["method"] == method
    assert min(found["heat"].shape) > 1
    assert found["heat"].min() >= 0
    assert -1 <= found["shuffled"] <= 1
    assert all((value == before[key]).all() for key, value in network.state_dict().items())
