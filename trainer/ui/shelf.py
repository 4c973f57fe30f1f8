"""Classifiers kept ready in memory, the last few used: the first answer loads one, the next ones are quick."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.classifier import Classifier

PLACES = 2


class Shelf:
    """At most ``PLACES`` loaded classifiers. Loading is what brings torch into the page's process."""

    def __init__(self) -> None:
        self._ready: OrderedDict[tuple[Path, float], Classifier] = OrderedDict()
        self._turn = threading.Lock()

    def __contains__(self, folder: Path) -> bool:
        return self._key(folder) in self._ready

    def get(self, folder: Path) -> Classifier:
        """The classifier saved in ``folder``.

        Raises:
            BadClassifier: there is none, or it is damaged.
        """
        from trainer.classifier import Classifier

        key = self._key(folder)
        with self._turn:
            if key not in self._ready:
                self._ready[key] = Classifier.load(folder)
            self._ready.move_to_end(key)
            while len(self._ready) > PLACES:
                self._ready.popitem(last=False)
            return self._ready[key]

    @staticmethod
    def _key(folder: Path) -> tuple[Path, float]:
        facts = folder / "studio.json"
        return folder, facts.stat().st_mtime if facts.exists() else 0.0
