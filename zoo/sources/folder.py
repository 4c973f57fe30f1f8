"""Networks in folders on disk: the studio's own classifiers, to go on from, and any folder of timm or transformers.

A name is a run's id, for its classifier, or a path below ``models`` in the studio's home. Where settings say that
whoever asks may name paths on this machine, as on a command line, it may be any path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import saved
from zoo.backbone import Card
from zoo.errors import BackboneUnavailable
from zoo.settings import Settings

if TYPE_CHECKING:
    from zoo.network import TimmBackbone

RUN = re.compile(r"[0-9a-z][0-9a-z-]{0,63}")
SHOWN = "folder"  # below ``models``: what is listed without being asked for


class Folder:
    """The source ``folder``."""

    name = "folder"

    def cards(self, settings: Settings) -> Iterator[Card]:
        """The runs' classifiers, newest first, and what lies in ``models/folder`` in the studio's home."""
        made = (settings.home / "runs").glob(f"*/classifier/{saved.CONFIG}")
        runs = [path.parts[-3] for path in sorted(made, key=lambda path: path.stat().st_mtime, reverse=True)]
        given = sorted((settings.home / "models" / SHOWN).glob(f"*/{saved.CONFIG}"))
        for name in (*runs, *(f"{SHOWN}/{path.parent.name}" for path in given)):
            try:
                yield self.card(name, settings)
            except BackboneUnavailable:
                continue  # asked for by its id, it says why

    def card(self, name: str, settings: Settings) -> Card:
        folder = place(name, settings)
        revision = saved.revision(folder)
        row = saved.remembered(settings.home, revision, lambda: _described(folder))
        return replace(row, id=f"folder/{name}", licence=saved.licence(folder), revision=revision)

    def load(self, name: str, settings: Settings) -> TimmBackbone:
        from zoo.forward import device
        from zoo.network import TimmBackbone, ready

        card, folder = self.card(name, settings), place(name, settings)
        return TimmBackbone(card, ready(saved.opened(folder), device()))


def place(name: str, settings: Settings) -> Path:
    """The folder that ``name`` stands for.

    Raises:
        BackboneUnavailable: there is none, or it is not for whoever asks.
    """
    run = settings.home / "runs" / name / "classifier"
    if RUN.fullmatch(name) and (run / saved.CONFIG).is_file():
        return run
    models = (settings.home / "models").resolve()
    if "\0" not in name and len(name) < 1024:
        below, anywhere = (models / name).resolve(), Path(name).expanduser().absolute()
        if below.is_relative_to(models) and (below / saved.CONFIG).is_file():
            return below
        if settings.local_paths and (anywhere / saved.CONFIG).is_file():
            return anywhere
    raise BackboneUnavailable(
        f"There is no folder of a network called {name[-80:]!r}.", f"Name a run, or a folder below {models}."
    )


def _described(folder: Path) -> Card:
    """What is counted on the network built without memory."""
    from zoo.network import counted

    library = saved.library(folder)
    card = Card(
        id="folder/",
        family=library,
        dim=0,
        taps=(),
        preprocessing=saved.preprocessing(folder),
        params=0.0,
        gmacs=0.0,
        licence="unknown",
        ready="cached",
    )
    if library == "transformers":
        from zoo import tokens

        return tokens.measured(card, folder)
    model = saved.skeleton(folder)
    return counted(replace(card, family=type(getattr(model, "body", model)).__name__), model)


SOURCE = Folder()
