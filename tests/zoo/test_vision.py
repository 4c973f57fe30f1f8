"""torchvision's networks: the same answers as torchvision's own, at every depth, trained, saved, loaded again."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import drawn
from tests.zoo.test_sources import give_torchvision
from trainer.classifier import Classifier, save
from trainer.exports.folder import certify
from zoo import saved, sources
from zoo.backbone import Trainable, stack
from zoo.errors import BackboneUnavailable
from zoo.network import counted
from zoo.settings import Settings, torch_cache
from zoo.sources import torchvision as source

CLASSES = ("a", "<b>", "${c}")


def test_the_written_down_catalog_is_what_torchvision_says(settings: Settings) -> None:
    for known in source.CATALOG:
        assert source._from_registry(known.name) == source._from_catalog(known)
        assert source._published(known.name).file == known.file


def test_googlenet_vgg_and_resnet_are_always_listed(settings: Settings) -> None:
    families = {card.family for card in sources.sources()["torchvision"].cards(settings)}
    assert {"GoogLeNet", "VGG", "ResNet"} <= families


@pytest.mark.parametrize("name", ["googlenet", "resnet18", "vgg11", "mobilenet_v3_small"])
def test_features_are_what_torchvision_s_own_last_layer_reads(name: str, settings: Settings) -> None:
    import torch
    from safetensors.torch import load_file
    from torchvision import models

    give_torchvision(settings, name)
    backbone = sources.load(f"torchvision/{name}", settings)
    picture = np.asarray(drawn(1, 2, (300, 260)))
    taps = backbone.forward(stack(backbone, [picture] * 2))
    assert (len(taps), taps[-1].shape) == (len(backbone.card.taps), (2, backbone.card.dim))

    more = {"transform_input": True, "init_weights": False} if name == "googlenet" else {}  # as with its weights
    theirs = models.get_model(name, weights=None, **more).eval()
    theirs.load_state_dict(load_file(settings.home / "models" / "torchvision" / name / "model.safetensors"))
    read: list[Any] = []
    last = [
        module for part, module in theirs.named_modules() if isinstance(module, torch.nn.Linear) and "aux" not in part
    ]
    last[-1].register_forward_pre_hook(lambda _module, given: read.append(given[0]))
    with torch.no_grad():
        theirs(models.get_model_weights(name).DEFAULT.transforms()(Image.fromarray(picture))[None])
    np.testing.assert_allclose(taps[-1][0], read[0][0].numpy(), rtol=1e-3, atol=1e-4 * float(read[0].abs().max()))


@pytest.mark.parametrize(("name", "loaders"), [("googlenet", 1), ("resnet18", 2)])
def test_a_classifier_is_certified_by_every_library_that_can_load_it(
    name: str, loaders: int, settings: Settings, tmp_path: Path
) -> None:
    import torch

    give_torchvision(settings, name)
    backbone = sources.load(f"torchvision/{name}", settings)
    assert isinstance(backbone, Trainable)
    network = backbone.network(3)
    network.requires_grad_(True).train()(torch.randn(2, 3, 224, 224)).sum().backward()
    save(network, tmp_path / "made", CLASSES, backbone.card.preprocessing, {"passport": {"licence": "mit"}}, None)
    picture = np.asarray(drawn(1, 2, (300, 260)))
    Image.fromarray(picture).save(tmp_path / "one.png")
    parity = certify(tmp_path / "made", [tmp_path / "one.png"])
    assert len(parity["loaders"]) == loaders
    assert parity["max_abs_dp"] < 1e-3
    rows = Classifier.load(tmp_path / "made").probabilities([picture])
    assert rows.sum() == pytest.approx(1)

    (settings.home / "models" / "mine").parent.mkdir(exist_ok=True)
    (tmp_path / "made").rename(settings.home / "models" / "mine")
    again = sources.load("folder/mine", settings)
    assert (again.card.licence, again.card.commercial) == ("mit", True)
    assert again.card.taps == backbone.card.taps
    first, second = (one.forward(stack(one, [picture]))[-1] for one in (backbone, again))
    assert first.shape == second.shape


def test_every_depth_learns_at_its_own_rate(settings: Settings) -> None:
    from timm.models import group_parameters

    from zoo.vision import create

    network: Any = create("googlenet", 3)
    groups = group_parameters(network, network.group_matcher())
    assert len(groups) == 13
    assert groups[0] == [name for name, _ in network.named_parameters() if name.startswith("body.conv1.")]
    assert sorted(groups[12]) == ["head.bias", "head.weight"]


def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, prefix: str | None = None) -> Path:
    """torch's hub cache with a file of resnet18, named for its hash or for ``prefix``."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    digest = prefix or hashlib.sha256(content).hexdigest()[:8]
    card = source._published("resnet18")
    changed = source.Published(card.url, f"resnet18-{digest}.pth", card.top1, card.megabytes, card.preprocessing)
    monkeypatch.setattr(source, "_published", lambda name: changed)
    monkeypatch.setattr(source, "CATALOG", ())
    path = torch_cache() / changed.file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_torchvision_s_own_file_is_read_where_its_hash_is_its_name_s(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torchvision import models

    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "weights")
    published(monkeypatch, tmp_path, (tmp_path / "weights").read_bytes())
    card = sources.load("torchvision/resnet18", settings).card
    assert (card.ready, len(card.revision), card.download_mb) == ("cached", 64, None)


def test_a_file_whose_hash_is_not_its_name_s_is_not_unpickled(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, tmp_path, b"anything", prefix="f37072fd")
    with pytest.raises(BackboneUnavailable, match="damaged or changed"):
        sources.load("torchvision/resnet18", settings)


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('run')",)


def test_code_in_a_pickle_is_not_run_even_under_the_right_hash(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(monkeypatch, tmp_path, pickle.dumps(Evil()))
    with pytest.raises(BackboneUnavailable, match="more than tensors"):
        sources.load("torchvision/resnet18", settings)


def test_offline_weights_that_are_not_here_are_said_so(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(BackboneUnavailable, match="offline"):
        sources.load("torchvision/googlenet", settings)


def test_a_folder_outside_the_home_is_for_those_at_this_machine(settings: Settings, tmp_path: Path) -> None:
    from dataclasses import replace

    from zoo.vision import create

    saved.write(create("googlenet", 2), _made(tmp_path / "out"), ("a", "b"), source._GOOGLENET)
    assert sources.card(f"folder/{tmp_path}/out", settings).family == "GoogLeNet"
    for away in (str(tmp_path / "out"), "../../out", "x/../../../out"):
        with pytest.raises(BackboneUnavailable, match="no folder"):
            sources.card(f"folder/{away}", replace(settings, local_paths=False))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_counting_leaves_the_card_s_name_alone(settings: Settings) -> None:
    from zoo.vision import create

    card = source._from_catalog(source.CATALOG[0])
    assert counted(card, create("googlenet")).id == card.id
