"""Every source by one measure: cards that can be listed without torch, and backbones that keep their card's word."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import drawn
from zoo import sources
from zoo.backbone import stack
from zoo.compare import EMBEDDED
from zoo.errors import BackboneUnavailable
from zoo.network import fit
from zoo.settings import Settings

TINY = ("test_vit.r160_in1k", "test_resnet.r160_in1k", "test_efficientnet.r160_in1k")


def give_weights(settings: Settings, name: str) -> None:
    """Random weights of a tiny architecture in the local folder of the home."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = settings.home / "models" / name / "model.safetensors"
    path.parent.mkdir(parents=True)
    save_file(timm.create_model(name, pretrained=False).state_dict(), path)


def give_torchvision(settings: Settings, name: str) -> None:
    """Random weights of one of torchvision's networks in the local folder of the home, auxiliary ones included."""
    import torch
    from safetensors.torch import save_file
    from torchvision import models

    torch.manual_seed(0)
    path = settings.home / "models" / "torchvision" / name / "model.safetensors"
    path.parent.mkdir(parents=True)
    more = {"init_weights": False} if name == "googlenet" else {}
    save_file(models.get_model(name, weights=None, **more).state_dict(), path)


def give_vit(settings: Settings, name: str) -> None:
    """A tiny ViT of transformers with random weights in the local folder of the home."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    size: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    ViTModel(ViTConfig(**size, image_size=32, patch_size=8)).save_pretrained(settings.home / "models" / name)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(settings.home / "models" / name)


@pytest.mark.parametrize("name", sources.sources())
def test_every_source_keeps_the_word_of_its_first_card(name: str, settings: Settings) -> None:
    source = sources.sources()[name]
    give = {"timm": give_weights, "torchvision": give_torchvision, "transformers": give_vit, "folder": give_vit}
    given = {"timm": TINY[0], "torchvision": "googlenet", "transformers": "some/vit", "folder": "some/vit"}
    if name in give:
        give[name](settings, given[name])
    card = source.card(given[name], settings) if name in given else next(source.cards(settings))
    backbone = sources.load(card.id, settings)
    pictures = [np.asarray(drawn(kind, 0)) for kind in range(3)]
    taps = backbone.forward(stack(backbone, pictures))
    assert len(taps) == len(backbone.card.taps)
    assert taps[-1].shape == (3, backbone.card.dim)
    assert taps[-1].dtype == np.float32
    assert all(np.isfinite(tap).all() and len(tap) == 3 for tap in taps)


def test_listing_needs_no_torch() -> None:
    script = (
        "import sys; from zoo.sources import sources; from zoo.settings import Settings; from pathlib import Path\n"
        "cards = [c for s in sources().values() for c in s.cards(Settings(home=Path('nowhere')))]\n"
        "assert len(cards) > 9; assert 'torch' not in sys.modules and 'timm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])


def test_the_written_down_catalog_is_what_timm_counts(settings: Settings) -> None:
    import timm
    import torch

    from zoo.network import measured

    for card in sources.sources()["timm"].cards(settings):
        with torch.device("meta"):
            model = timm.create_model(card.name, pretrained=False)
        assert measured(card, model) == card, card.name
        assert type(model).__name__ == card.family
        config = timm.models.get_pretrained_cfg(card.name)
        assert config is not None
        assert config.license == card.licence


@pytest.mark.parametrize("name", TINY)
def test_a_local_folder_serves_weights_without_a_hub(name: str, settings: Settings) -> None:
    with pytest.raises(BackboneUnavailable, match="offline"):
        sources.load(f"timm/{name}", settings)
    give_weights(settings, name)
    card = sources.card(f"timm/{name}", settings)
    assert card.ready == "cached"
    assert len(card.revision) == 64
    loaded: Any = sources.load(f"timm/{name}", settings)
    assert loaded.card == card
    assert "state_dict" not in loaded.model.pretrained_cfg, "weights are held once"


@pytest.mark.parametrize(
    "wrong",
    ["", "timm", "timm/", "nowhere/x", "timm/no_such_model", "timm/../../etc/passwd", "timm/http://host/x",
     "embedded/resnet50", "pixels/0x0", "pixels/8x9", "pixels/999x999", "/etc/passwd",
     "transformers/../../etc", "transformers/a/../b", "transformers/a", "transformers/http://host/x",
     "transformers/a/b/c", "torchvision/../x", "torchvision/squeezenet1_0", "torchvision/http://host/x",
     "folder/", "folder/../../etc", "folder//etc", "folder/http://host/x", "folder/a\0b"],
)  # fmt: skip
def test_a_wrong_id_is_explained(wrong: str, settings: Settings) -> None:
    with pytest.raises(BackboneUnavailable):
        sources.load(wrong, settings)


def test_weights_that_do_not_fit_are_refused(settings: Settings) -> None:
    give_weights(settings, TINY[0])
    folder = settings.home / "models"
    (folder / TINY[0]).rename(folder / TINY[1])
    with pytest.raises(BackboneUnavailable, match="do not fit"):
        sources.load(f"timm/{TINY[1]}", settings)


def test_a_pickle_under_the_name_of_safetensors_is_refused(settings: Settings, tmp_path: Path) -> None:
    import torch

    give_weights(settings, TINY[0])
    torch.save({"w": torch.ones(1)}, settings.home / "models" / TINY[0] / "model.safetensors")
    with pytest.raises(BackboneUnavailable):
        sources.load(f"timm/{TINY[0]}", settings)


def test_embedded_weights_that_were_changed_are_refused() -> None:
    from zoo.sources.embedded import CARDS, checked_file

    card = CARDS["tf_efficientnet_lite0"]
    assert checked_file(card).is_file()
    with pytest.raises(BackboneUnavailable, match="damaged or changed"):
        checked_file(replace(card, revision=card.revision[:8] + "0" * 56))


def test_embedded_networks_are_shown_whole_pictures_the_largest_also_a_larger_one(settings: Settings) -> None:
    own, larger = (
        sources.load(f"embedded/{name}", settings) for name in ("tf_efficientnet_lite2", "tf_efficientnet_lite2_384")
    )
    assert larger.card.revision == own.card.revision
    assert larger.card.gmacs > 2 * own.card.gmacs
    assert larger.card.imagenet_top1 is None, "nobody published it"
    picture = np.zeros((200, 600, 3), np.uint8)
    picture[:, :100] = 255  # what a centre crop would cut away
    shown = [backbone.prepare(picture) for backbone in (own, larger)]
    assert [one.shape for one in shown] == [(260, 260, 3), (384, 384, 3)]
    assert [one.mean() for one in shown] == pytest.approx([255 / 6] * 2, abs=1)
    taps = larger.forward(stack(larger, [picture]))
    assert [tap.shape[0] for tap in taps] == [1] * len(larger.card.taps)
    assert taps[-1].shape[1] == larger.card.dim
    assert tuple(f"embedded/tf_efficientnet_lite{number}" for number in range(3)) == EMBEDDED, "it is asked for"


def test_preparing_equals_timms_own_transform() -> None:
    from timm.data import create_transform

    from zoo.sources.embedded import CARDS

    for card in CARDS.values():
        p = card.preprocessing
        theirs = create_transform(
            input_size=(3, p.size, p.size), interpolation=p.interpolation, crop_pct=p.crop, mean=p.mean, std=p.std,
            crop_mode="squash" if p.squash else "center",
        )  # fmt: skip
        for size in ((64, 48), (333, 500), (700, 301), (20, 20)):
            picture = drawn(1, 2, size)
            ours = (fit(np.asarray(picture), p).astype(np.float32) / 255 - p.mean[0]) / p.std[0]
            np.testing.assert_allclose(ours.transpose(2, 0, 1), theirs(picture).numpy(), atol=1e-6)


def test_pixels_see_nothing_but_colour_and_layout(settings: Settings) -> None:
    backbone = sources.load("pixels/2x2", settings)
    red = np.asarray(Image.new("RGB", (40, 20), (255, 0, 0)))
    assert backbone.forward(stack(backbone, [red]))[0].reshape(4, 3).tolist() == [[1, 0, 0]] * 4
