"""Depths inside of stages: the same pass, the same numbers, and a network cut there survives its folder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from trainer.halves import halves
from zoo import saved
from zoo.backbone import Preprocessing

SMALL: dict[str, dict[str, Any]] = {
    "resnet18": {"layers": [1, 2, 2, 1], "channels": [8, 16, 16, 32]},
    "test_convnext": {},
}
STAGES: dict[str, dict[str, Any]] = {
    "ConvNext": {"hidden_sizes": [8, 16], "depths": [2, 2], "num_stages": 2},
    "ResNet": {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [2, 2]},
    "Swin": {
        "image_size": 64,
        "patch_size": 4,
        "embed_dim": 8,
        "depths": [2, 2],
        "num_heads": [2, 2],
        "window_size": 4,
    },
}


def survivor(network: Any, taps: Sequence[int], count: int, x: Any, folder: Path) -> Any:
    """A copy of ``network`` cut at ``taps``, after it was written and answered the same when read back."""
    import torch

    from zoo.load import load
    from zoo.truncated import truncated

    short = truncated(copy.deepcopy(network), taps, count, 64, 3)
    folder.mkdir()
    saved.write(short, folder, ("a", "b", "c"), Preprocessing(size=64))
    with torch.inference_mode():
        said = short(x)
        assert torch.equal(saved.opened(folder, 3).eval()(x), said)
        if saved.library(folder) == "truncated":
            assert (load(folder)(x) - said).abs().max() < 1e-5
    return short


@pytest.mark.parametrize("name", SMALL)
def test_a_network_is_read_inside_its_stages_and_cut_there_survives_its_folder(name: str, tmp_path: Path) -> None:
    import timm
    import torch

    from zoo.depths import finer
    from zoo.truncated import truncated

    torch.manual_seed(0)
    network: Any = timm.create_model(name, num_classes=3, **SMALL[name]).eval()
    ends = [entry["module"] for entry in network.feature_info]
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        final, stages = network.forward_intermediates(x)
        finer(network)
        made, taps = network.forward_intermediates(x)
        whole = network(x)
    names = [entry["module"] for entry in network.feature_info]
    assert len(ends) < len(names) <= 11
    assert torch.equal(final, made)
    last = {
        stage: max(i for i, one in enumerate(names) if one == stage or one.startswith(f"{stage}.")) for stage in ends
    }
    assert all(torch.equal(taps[last[stage]], value) for stage, value in zip(ends, stages, strict=True))

    within, count = last[ends[-2]] - 1, len(names) + 1
    assert names[within] not in ends
    parts = halves(copy.deepcopy(network), within, 64)
    assert (parts.after(parts.activations(x)) - whole).abs().max() < 1e-4
    for number, chosen in enumerate(((within,), (0, within), (within, count - 1))):
        short = survivor(network, chosen, count, x, tmp_path / str(number))
    sizes = [
        sum(p.numel() for p in model.parameters()) for model in (short, truncated(network, (within,), count, 64, 3))
    ]
    assert sizes[1] < sizes[0], "what comes after the cut is gone"


@pytest.mark.parametrize("kind", ["ConvNext", "ResNet", "Swin"])
def test_a_network_of_transformers_is_read_inside_its_stages_too(kind: str, tmp_path: Path) -> None:
    import torch
    import transformers

    from zoo import tokens
    from zoo.load import patches

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**STAGES[kind])
    network: Any = tokens.Tokens(tokens.create(config, 3)).eval()
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        taps = network.forward_intermediates(x)[1]
        states = network.body(pixel_values=x, output_hidden_states=True).hidden_states
    assert network.within
    assert len(taps) == sum(STAGES[kind]["depths"])
    assert torch.equal(taps[-1].mean(dim=(2, 3)), patches(states[-1]).mean(dim=(2, 3)))
    count = len(taps) + 1
    numbered = copy.deepcopy(network)
    numbered.read_by_number()
    for number, (whole, chosen) in enumerate(
        ((network, (1,)), (network, (0, 2)), (network, (1, count - 1)), (numbered, (1, 2)))
    ):
        last = count if whole is network else len(states) + 1
        survivor(whole, chosen, last, x, tmp_path / str(number))
        assert saved.library(tmp_path / str(number)) == "truncated"


def test_a_folder_that_names_modules_its_network_lacks_is_refused(tmp_path: Path) -> None:
    import json

    import timm

    from zoo.depths import finer
    from zoo.errors import BackboneUnavailable
    from zoo.truncated import truncated

    network = finer(timm.create_model("test_convnext", num_classes=3).eval())
    made = truncated(network, (0, 2), len(network.feature_info) + 1, 64, 3)  # type: ignore[arg-type]
    saved.write(made, tmp_path, ("a", "b", "c"), Preprocessing(size=64))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"modules": ["stages.0", "../x"]}))
    with pytest.raises(BackboneUnavailable, match="does not have"):
        saved.opened(tmp_path, 3)
