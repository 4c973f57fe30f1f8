"""Where backbones come from: one file a source, each with a ``SOURCE``."""

from __future__ import annotations

from functools import cache

from zoo.backbone import Backbone, Card, Source
from zoo.errors import BackboneUnavailable
from zoo.registry import discover
from zoo.settings import Settings


@cache
def sources() -> dict[str, Source]:
    """Every source, by name."""
    from zoo import sources as folder

    return discover(folder, "SOURCE", Source)  # type: ignore[type-abstract]


def card(backbone_id: str, settings: Settings) -> Card:
    """The card of ``source/name``.

    Raises:
        BackboneUnavailable: no source, or no backbone of that source, has that name.
    """
    source, name = _find(backbone_id)
    return source.card(name, settings)


def load(backbone_id: str, settings: Settings) -> Backbone:
    """The frozen network of ``source/name``.

    Raises:
        BackboneUnavailable: there is none, or its weights cannot be had here.
    """
    source, name = _find(backbone_id)
    return source.load(name, settings)


def verify(backbone_id: str, settings: Settings) -> None:
    """Prove that the weights are what the card says, where a source can tell without loading them.

    Raises:
        BackboneUnavailable: they are missing or not those.
    """
    source, name = _find(backbone_id)
    prove = getattr(source, "verify", None)
    if prove is not None:
        prove(name, settings)


def _find(backbone_id: str) -> tuple[Source, str]:
    source, slash, name = backbone_id.partition("/")
    if not slash or not name or source not in sources():
        raise BackboneUnavailable(
            f"{backbone_id[:120]!r} is not a backbone's id.",
            f"Write source/name, with one of these sources: {', '.join(sources())}.",
        )
    return sources()[source], name
