"""Every backbone that can be had here, searched and filtered; torch is imported only to search whole registries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from zoo import sources
from zoo.backbone import Card
from zoo.errors import BackboneUnavailable
from zoo.settings import Settings
from zoo.store import read_json, write_json

FOUND = 20  # cards at most that a search adds out of each registry
ADDED = "backbones.json"  # in the studio's home: ids that a person added


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What a person wants to see; None and "" ask nothing.

    Attributes:
        search: part of an id or a family, in any case; registries with a search of their own are searched too.
        commercial: the licence is known to allow commercial use.
        max_params: millions of parameters.
        max_gmacs: billions of multiply-adds a picture.
        offline: only what needs no download.
    """

    source: str = ""
    licence: str = ""
    family: str = ""
    search: str = ""
    commercial: bool = False
    max_params: float | None = None
    max_gmacs: float | None = None
    offline: bool = False

    def admit(self, card: Card) -> bool:
        """Whether ``card`` is wanted."""
        wanted = (
            not self.licence or card.licence == self.licence.lower(),
            not self.family or self.family.lower() in card.family.lower(),
            not self.search or self.search.lower() in f"{card.id} {card.family}".lower(),
            not self.commercial or card.commercial is True,
            self.max_params is None or card.params <= self.max_params,
            self.max_gmacs is None or card.gmacs <= self.max_gmacs,
            not self.offline or card.ready != "download",
        )
        return all(wanted)


def catalog(settings: Settings, filters: Filters = Filters()) -> list[Card]:
    """Cards of what is suggested, what lies on this disk, what was added, and what a search finds.

    Raises:
        BackboneUnavailable: there is no such source.
    """
    known = sources.sources()
    if filters.source and filters.source not in known:
        raise BackboneUnavailable(f"There is no source {filters.source[:80]!r}.", f"Choose from {', '.join(known)}.")
    named = [filters.source] if filters.source else list(known)
    cards = {card.id: card for name in named for card in known[name].cards(settings)}
    others = (one for one in added(settings) if one.partition("/")[0] in named)
    for one in (*others, *_searched(named, filters, settings)):
        if one not in cards:
            try:
                cards[one] = sources.card(one, settings)
            except BackboneUnavailable:
                continue  # asked for by its id, it says why
    return [card for card in cards.values() if filters.admit(card)]


def add(backbone_id: str, settings: Settings) -> Card:
    """Put a backbone into the catalog by its id.

    Raises:
        BackboneUnavailable: there is none of that name, or it cannot be used; the message says why.
    """
    card = sources.card(backbone_id, settings)
    known = added(settings)
    if backbone_id not in known:
        write_json(settings.home / ADDED, [*known, backbone_id])
    return card


def added(settings: Settings) -> list[str]:
    """Ids that were added."""
    rows = read_json(settings.home / ADDED)
    return [row for row in rows if isinstance(row, str)] if isinstance(rows, list) else []


def readiness(card: Card) -> str:
    """What stands between a person and this backbone, in a few words."""
    if card.ready != "download":
        return {"embedded": "in the installation", "cached": "on this disk"}[card.ready]
    return "needs a download" + (f", {card.download_mb:.0f} MB" if card.download_mb is not None else "")


def _searched(named: list[str], filters: Filters, settings: Settings) -> Iterator[str]:
    """Ids out of whole registries; a download they would need rules them out where nothing may be fetched."""
    if not filters.search or filters.offline:
        return
    for name in named:
        find = getattr(sources.sources()[name], "find", None)
        if find is not None:
            yield from (f"{name}/{one}" for one in islice(find(filters.search.lower(), settings), FOUND))
