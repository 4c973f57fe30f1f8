"""Networks of transformers: every kind the studio names, read at every depth, trained, saved, and loaded elsewhere."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import drawn
from zoo import saved, sources, tokens
from zoo.backbone import Preprocessing, Trainable, stack
from zoo.errors import BackboneUnavailable
from zoo.network import fit, normalised
from zoo.settings import Settings
from zoo.sources.transformers import CATALOG

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
WIDE = SMALL | {"intermediate_size": 64}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
TEXT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 99, "intermediate_size": 32}
WINDOWS = {"image_size": 64, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}
KINDS: dict[str, tuple[str, dict[str, Any], int]] = {  # builder, config, length of the last tap
    "vit": ("ViTModel", WIDE, 32),
    "vit, classifying": ("ViTForImageClassification", WIDE | {"num_labels": 7}, 32),
    "dinov2": ("Dinov2Model", SMALL, 64),
    "dinov2 with registers": ("Dinov2WithRegistersModel", SMALL, 64),
    "deit": ("DeiTModel", WIDE, 32),
    "convnext": ("ConvNextModel", STAGES, 32),
    "swin": ("SwinForImageClassification", WINDOWS, 16),
    "resnet": ("ResNetForImageClassification", {"embedding_size": 8, "hidden_sizes": [32, 48], "depths": [1, 1]}, 48),
    "clip": ("CLIPModel", {"vision_config": WIDE, "text_config": TEXT}, 32),
    "clip tower": ("CLIPVisionModel", WIDE, 32),
    "siglip": ("SiglipModel", {"vision_config": WIDE, "text_config": TEXT}, 32),
    "siglip tower": ("SiglipVisionModel", WIDE, 32),
}  # fmt: skip


def give(settings: Settings, kind: str, name: str = "some/net") -> Path:
    """A tiny network with random weights in the local folder of the home."""
    import torch
    import transformers

    torch.manual_seed(0)
    builder, config, _ = KINDS[kind]
    folder = settings.home / "models" / name
    made = getattr(transformers, builder)
    made(made.config_class(**config)).save_pretrained(folder)
    side = 32 if config.get("patch_size") == 8 or "vision_config" in config else 64
    transformers.ViTImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_trained_saved_and_loaded_by_transformers(
    kind: str, settings: Settings, tmp_path: Path
) -> None:
    import torch
    from PIL import Image
    from transformers import pipeline

    give(settings, kind)
    backbone = sources.load("transformers/some/net", settings)
    card, picture = backbone.card, np.asarray(drawn(1, 2))
    taps = backbone.forward(stack(backbone, [picture] * 2))
    assert [len(taps), taps[-1].shape[1]] == [len(card.taps), KINDS[kind][2]]
    assert card.params > 0 <= card.gmacs
    assert isinstance(backbone, Trainable)
    network = backbone.network(3)
    size = card.preprocessing.size
    network.requires_grad_(True).train()(torch.randn(2, 3, size, size)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.get_classifier().parameters())  # type: ignore[operator]
    saved.write(network, tmp_path / "out", ("a", "b", "c"), card.preprocessing)
    x = normalised(fit(picture, card.preprocessing)[None], card.preprocessing, torch.device("cpu"))
    with torch.no_grad():
        ours = network(x).softmax(1)[0]
        again = saved.opened(tmp_path / "out", 3).eval()(x).softmax(1)[0]
    assert torch.allclose(ours, again, atol=1e-6)
    said = pipeline("image-classification", str(tmp_path / "out"), device="cpu")(Image.fromarray(picture), top_k=3)
    theirs = {row["label"]: row["score"] for row in said}
    assert [theirs[label] for label in "abc"] == pytest.approx(ours.tolist(), abs=2e-3)  # it resizes tensors


def test_the_last_tap_is_what_the_classifier_reads(settings: Settings) -> None:
    import torch

    give(settings, "dinov2")
    backbone: Any = sources.load("transformers/some/net", settings)
    picture = np.asarray(drawn(1, 2))
    taps = backbone.forward(stack(backbone, [picture]))
    x = normalised(fit(picture, backbone.card.preprocessing)[None], backbone.card.preprocessing, torch.device("cpu"))
    with torch.no_grad():
        states = backbone.model.body.dinov2(x).last_hidden_state[0]
    np.testing.assert_allclose(taps[-1][0], torch.cat([states[0], states[1:].mean(0)]).numpy(), atol=1e-6)


def test_layers_nearer_the_input_learn_more_slowly(settings: Settings) -> None:
    from trainer.optimizer import optimizer_for
    from trainer.plan import Plan

    give(settings, "vit")
    backbone: Any = sources.load("transformers/some/net", settings)
    network = backbone.network(3).requires_grad_(True)
    plan = Plan(dataset="none", backbone="transformers/some/net", strategy="full", learning_rate=0.1, layer_decay=0.5)
    rates = {id(p): group["lr"] for group in optimizer_for(network, plan).param_groups for p in group["params"]}
    by_depth = [
        {rates[id(p)] for name, p in network.named_parameters() if part in name}
        for part in ("embeddings", "layers.0." if "layers.0." in str([*network.state_dict()]) else "layer.0.", "head.")
    ]
    assert [len(one) for one in by_depth] == [1, 1, 1]
    assert max(by_depth[0]) < max(by_depth[1]) < max(by_depth[2])


PROCESSORS: tuple[tuple[str, dict[str, Any], tuple[int, int, bool]], ...] = (
    ("ViTImageProcessor", {"size": {"height": 224, "width": 224}}, (224, 224, True)),
    ("BitImageProcessor", {"size": {"shortest_edge": 256}, "crop_size": 224}, (224, 256, False)),
    ("CLIPImageProcessor", {}, (224, 224, False)),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}, "crop_pct": 0.875}, (224, 256, False)),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}, (384, 384, True)),
    ("SiglipImageProcessor", {"size": {"height": 224, "width": 224}}, (224, 224, True)),
)


@pytest.mark.parametrize(("builder", "options", "means"), PROCESSORS)
def test_pictures_are_prepared_as_the_processor_does(
    builder: str, options: dict[str, Any], means: tuple[int, int, bool], tmp_path: Path
) -> None:
    import torch
    import transformers

    theirs = getattr(transformers, builder)(**options)
    theirs.save_pretrained(tmp_path)
    ours = tokens.preprocessing(tmp_path)
    assert (ours.size, int(ours.size / ours.crop), ours.squash) == means
    picture = drawn(1, 2, (333, 500))
    x = normalised(fit(np.asarray(picture), ours)[None], ours, torch.device("cpu"))[0]
    difference = (x - theirs(picture, return_tensors="pt")["pixel_values"][0]).abs()
    assert difference.mean() < 0.02
    assert difference.max() < 0.2  # of a scale of about 4: it resizes tensors, we resize pictures


CHANGES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("config.json", {"auto_map": {"AutoModel": "evil.Model"}}, "code of its own"),
    ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "evil.P"}}, "code of its own"),
    ("config.json", {"model_type": "llama"}, "no image classifier"),
    ("config.json", {"model_type": ["vit"]}, "no image classifier"),
    ("config.json", {"quantization_config": {"quant_method": "awq"}}, "plain numbers"),
    ("config.json", {"num_hidden_layers": 10**9}, "impossible size"),
    ("config.json", {"hidden_size": 10**8}, "impossible size"),
    ("config.json", {"hidden_size": 1024, "num_attention_heads": 4}, "describes"),
    ("config.json", {"hidden_size": "wide"}, "wrongly|built"),
    ("preprocessor_config.json", {"size": {"height": 33, "width": 64}}, "followed"),
    ("preprocessor_config.json", {"size": {"height": 10**7, "width": 10**7}}, "followed"),
    ("preprocessor_config.json", {"size": {"height": 48, "width": 48}}, "every depth"),
)


@pytest.mark.parametrize(("file", "change", "why"), CHANGES)
def test_a_stranger_s_description_that_cannot_be_trusted_is_refused(
    file: str, change: dict[str, Any], why: str, settings: Settings
) -> None:
    path = give(settings, "vit") / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BackboneUnavailable, match=why):
        sources.load("transformers/some/net", settings)


def big_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 1 << 40) + b"{}")


def lying_header(path: Path) -> None:
    text = json.dumps({"x": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4)


def deep_header(path: Path) -> None:
    text = b"[" * 100_000
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def no_numbers(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(path)
    next(iter(state.values())).fill_(float("nan"))
    save_file(state, path)


def one_missing(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(path)
    state.pop(next(iter(state)))
    save_file(state, path)


def other_shape(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(path)
    name = max(state, key=lambda key: state[key].numel())
    save_file(state | {name: state[name].flatten().repeat(2)}, path)


def pickled(path: Path) -> None:
    import torch

    torch.save({"x": torch.ones(3)}, path.with_name("pytorch_model.bin"))
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(big_header, "header is longer"), (lying_header, "does not describe"), (deep_header, "header"),
     (no_numbers, "no numbers"), (one_missing, "do not fit"), (other_shape, "do not fit"), (pickled, "pickle")],
)  # fmt: skip
def test_weights_that_cannot_be_trusted_are_refused(spoil: Any, why: str, settings: Settings) -> None:
    spoil(give(settings, "vit") / "model.safetensors")
    with pytest.raises(BackboneUnavailable, match=why):
        sources.load("transformers/some/net", settings)


def test_the_licence_on_a_model_card_reaches_the_card(settings: Settings) -> None:
    folder = give(settings, "resnet")
    assert sources.card("transformers/some/net", settings).licence == "unknown"
    (folder / "README.md").write_text("---\ntags: [vision]\nlicense: CC-BY-NC-4.0\n---\n# A network\n")
    card = sources.card("transformers/some/net", settings)
    assert (card.licence, card.commercial) == ("cc-by-nc-4.0", False)


def test_the_written_down_catalog_is_what_is_counted(tmp_path: Path) -> None:
    import transformers as t

    small = t.Dinov2Config(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14)
    configs = {
        "facebook/dinov2-small": small,
        "microsoft/resnet-50": t.ResNetConfig(),
        "microsoft/swin-tiny-patch4-window7-224": t.SwinConfig(),
        "facebook/convnext-tiny-224": t.ConvNextConfig(),
        "google/vit-base-patch16-224": t.ViTConfig(),
        "openai/clip-vit-base-patch32": t.CLIPConfig(),
        "google/siglip-base-patch16-224": t.SiglipConfig(),
    }
    assert set(configs) == {known.name for known in CATALOG}
    for card in sources.sources()["transformers"].cards(Settings(home=tmp_path)):
        configs[card.name].save_pretrained(tmp_path / "net")
        assert tokens.measured(card, tmp_path / "net") == card, card.id
        assert type(tokens.checked_config(tmp_path / "net")).__name__ == f"{card.family}Config"


def test_what_the_studio_writes_for_a_squashing_network_prepares_the_same(settings: Settings, tmp_path: Path) -> None:
    give(settings, "vit")
    backbone: Any = sources.load("transformers/some/net", settings)
    for told in (Preprocessing(size=32, crop=0.8), Preprocessing(size=32, crop=1.0, squash=True)):
        saved.write(backbone.network(2), tmp_path / str(told.squash), ("a", "b"), told)
        assert tokens.preprocessing(tmp_path / str(told.squash)) == told
