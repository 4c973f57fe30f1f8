"""Image classifiers and vision towers of transformers: ViT, DINOv2, ConvNeXt, Swin, ResNet, CLIP, SigLIP and kin.

A name is OWNER/MODEL. Its files come from ``models/OWNER/MODEL`` in the studio's home, this disk's hub cache, or a hub
that answers. Only safetensors are read, and no repository's own code is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import fetching, saved, weights
from zoo.backbone import Card, Preprocessing
from zoo.errors import BackboneUnavailable
from zoo.settings import Settings

if TYPE_CHECKING:
    from zoo.network import TimmBackbone

NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
CONFIG, PROCESSOR, README = "config.json", "preprocessor_config.json", "README.md"


@dataclass(frozen=True)
class Known:
    """Facts of a network worth suggesting, written down so that listing it needs no torch. A test recounts them."""

    name: str
    family: str
    dim: int
    taps: tuple[str, ...]
    params: float
    gmacs: float
    licence: str
    megabytes: float
    preprocessing: Preprocessing


def _stages(name: str, chain: str, *blocks: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the ``blocks`` at which each stage is read."""
    return (*(f"{name}.{stage}.{chain}.{block}" for stage, some in enumerate(blocks) for block in some), "head")


_TWELVE = ("embeddings", *(f"stages.{number}" for number in range(1, 13)), "head")
_HALVES = (0.5, 0.5, 0.5)
_PLAIN = Preprocessing(size=224)
_SQUASHED = Preprocessing(size=224, crop=1.0, squash=True)
_CLIP = Preprocessing(
    size=224, crop=1.0, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)
)
_VIT = replace(_SQUASHED, interpolation="bilinear", mean=_HALVES, std=_HALVES)
_SIGLIP = replace(_SQUASHED, mean=_HALVES, std=_HALVES)
CATALOG = (
    Known("facebook/dinov2-small", "Dinov2", 768, _TWELVE, 22.06, 6.12, "apache-2.0", 88.2, _PLAIN),
    Known(
        "microsoft/resnet-50",
        "ResNet",
        2048,
        _stages("stages", "layers", (0, 2), (0, 2, 3), (1, 2, 4, 5), (1, 2)),
        23.51,
        4.09,
        "apache-2.0",
        102.5,
        _PLAIN,
    ),
    Known(
        "microsoft/swin-tiny-patch4-window7-224",
        "Swin",
        768,
        _stages("layers", "blocks", (0, 1), (0, 1), (0, 2, 3, 4, 5), (0, 1)),
        27.52,
        4.49,
        "apache-2.0",
        113.2,
        _SQUASHED,
    ),
    Known(
        "facebook/convnext-tiny-224",
        "ConvNext",
        768,
        _stages("stages", "layers", (1, 2), (1, 2), (1, 3, 5, 7, 8), (1, 2)),
        27.82,
        4.45,
        "apache-2.0",
        114.4,
        _PLAIN,
    ),
    Known("google/vit-base-patch16-224", "ViT", 768, _TWELVE, 85.8, 17.56, "apache-2.0", 346.3, _VIT),
    Known("openai/clip-vit-base-patch32", "CLIP", 768, _TWELVE, 87.46, 4.41, "unknown", 605.2, _CLIP),
    Known("google/siglip-base-patch16-224", "Siglip", 768, _TWELVE, 92.88, 17.71, "apache-2.0", 812.7, _SIGLIP),
)


class Transformers:
    """The source ``transformers``."""

    name = "transformers"

    def cards(self, settings: Settings) -> Iterator[Card]:
        """The catalog, and every network of the local folder."""
        yield from (self.card(known.name, settings) for known in CATALOG)
        known_names = {known.name for known in CATALOG}
        for path in sorted((settings.home / "models").glob(f"*/*/{weights.WEIGHTS}")):
            name = "/".join(path.parts[-3:-1])
            if NAME.fullmatch(name) and name not in known_names and (path.parent / CONFIG).is_file():
                try:
                    yield self.card(name, settings)
                except BackboneUnavailable:
                    continue  # asked for by its id, it says why

    def card(self, name: str, settings: Settings) -> Card:
        if not NAME.fullmatch(name):
            raise BackboneUnavailable(f"{name[:80]!r} is no OWNER/MODEL.", "Write transformers/facebook/dinov2-small.")
        known = next((_from_catalog(known) for known in CATALOG if known.name == name), None)
        folder = here(name, settings)
        if folder is None and known is not None:
            return known
        if folder is None:
            folder = described_by_hub(name, settings)
            return _described(name, folder, stamp(folder))
        revision = saved.revision(folder)
        card = saved.remembered(settings.home, revision, lambda: _described(name, folder, stamp(folder)))
        licence = weights.stated_licence(folder / README)
        card = replace(
            card, id=f"{self.name}/{name}", ready="cached", revision=revision, licence=licence, download_mb=None
        )
        if known is None:
            return card
        licence = known.licence if card.licence == "unknown" else card.licence
        return replace(card, licence=licence)

    def load(self, name: str, settings: Settings) -> TimmBackbone:
        from zoo import tokens
        from zoo.forward import device
        from zoo.network import TimmBackbone, ready

        self.card(name, settings)  # what cannot be used ends here, before its weights are fetched
        folder = here(name, settings)
        if folder is None:
            folder = described_by_hub(name, settings)
            fetching.fetch(name, weights.WEIGHTS, settings, _remedy(name, settings))
        return TimmBackbone(self.card(name, settings), ready(tokens.load(folder), device()))


def here(name: str, settings: Settings) -> Path | None:
    """The folder on this disk that holds the network, weights included: the local one, else the hub cache's."""
    local = settings.home / "models" / name
    if (local / CONFIG).is_file():
        return local
    cached = weights.cached(name, CONFIG)
    return cached.parent if cached and (cached.parent / weights.WEIGHTS).is_file() else None


def described_by_hub(name: str, settings: Settings) -> Path:
    """The folder of the hub's cache with what is small: how the network is built, shown pictures, and licensed.

    Raises:
        BackboneUnavailable: no hub gives it.
    """
    remedy = _remedy(name, settings)
    folder = fetching.fetch(name, CONFIG, settings, remedy).parent
    fetching.fetch(name, PROCESSOR, settings, remedy)
    if not (folder / README).is_file() and not settings.offline:
        try:
            fetching.fetch(name, README, settings, remedy)
        except BackboneUnavailable:
            return folder  # its licence stays unknown
    return folder


def stamp(folder: Path) -> float:
    """Changes whenever a file of ``folder`` that its card depends on does."""
    paths = [folder / file for file in (CONFIG, PROCESSOR, README, weights.WEIGHTS)]
    return sum(path.stat().st_mtime for path in paths if path.is_file())


def _remedy(name: str, settings: Settings) -> str:
    return f"Use an embedded backbone, or put the model's files into {settings.home / 'models' / name}."


def _from_catalog(known: Known) -> Card:
    return Card(
        id=f"transformers/{known.name}",
        family=known.family,
        dim=known.dim,
        taps=known.taps,
        preprocessing=known.preprocessing,
        params=known.params,
        gmacs=known.gmacs,
        licence=known.licence,
        ready="download",
        download_mb=known.megabytes,
    )


@cache
def _described(name: str, folder: Path, changed: float) -> Card:  # noqa: ARG001 - part of the cache's key
    """Facts counted on the network built without memory (torch's meta device)."""
    from zoo import tokens

    config = tokens.checked_config(folder)
    card = Card(
        id=f"transformers/{name}",
        family=type(config).__name__.removesuffix("Config"),
        dim=0,
        taps=(),
        preprocessing=tokens.preprocessing(folder),
        params=0.0,
        gmacs=0.0,
        licence=weights.stated_licence(folder / README),
        ready="download",
    )
    card = tokens.measured(card, folder)
    return replace(card, download_mb=round(card.params * 4, 1))


SOURCE = Transformers()
