"""Classifiers kept ready to answer, the last few used, none of them with torch in the page's process."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path

from trainer import served
from trainer.answering import Child
from trainer.served import Served
from zoo.background import ROOT
from zoo.errors import BadClassifier
from zoo.settings import Settings, child_environment
from zoo.store import Store

PLACES = 2
PATIENCE = 600  # seconds for a classifier to be made ready


@lru_cache(maxsize=1)
def shared(settings: Settings) -> Shelf:
    """The page's one, which links use too: each keeps networks in memory. Who may ask is not for it to say."""
    return Shelf(Store(settings.home), settings)


class Shelf:
    """At most ``PLACES`` opened classifiers.

    A finished run's was made ready by its worker; another is made so by a process that imports torch, once. Where that
    cannot be, a process that keeps torch answers.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._ready: OrderedDict[tuple[Path, float], Served | Child] = OrderedDict()
        self._turn = threading.Lock()
        self._insider: tuple[tuple[Path, float], Child] | None = None

    def __contains__(self, folder: Path) -> bool:
        return self._key(folder) in self._ready

    def get(self, folder: Path) -> Served | Child:
        """The classifier saved in ``folder``.

        Raises:
            BadClassifier: there is none, or it is damaged.
        """
        key = self._key(folder)
        with self._turn:
            if key not in self._ready:
                self._ready[key] = self._opened(folder)
            self._ready.move_to_end(key)
            while len(self._ready) > PLACES:
                _, last = self._ready.popitem(last=False)
                if isinstance(last, Child):
                    last.close()
            if isinstance(found := self._ready[key], Child) and not found.living:
                found = self._ready[key] = Child(folder, self._store.root, self._settings.threads)
            return found

    def insider(self, folder: Path) -> Child:
        """A process with torch that can look inside the classifier saved in ``folder``; the last one stays warm.

        It begins to wake when this is called, and is there when it is asked.
        """
        key = self._key(folder)
        with self._turn:
            if self._insider is not None and (self._insider[0] != key or not self._insider[1].living):
                self._insider[1].close()
                self._insider = None
            if self._insider is None:
                self._insider = key, Child(folder, self._store.root, self._settings.threads)
            return self._insider[1]

    def _opened(self, folder: Path) -> Served | Child:
        threads = self._settings.threads
        known = served.known(self._store, folder, threads)
        if known is None and not served.impossible(self._store, folder):
            self._make(folder)
            known = served.known(self._store, folder, threads)
        return known or Child(folder, self._store.root, self._settings.threads)

    def _make(self, folder: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "trainer", "ready", str(folder), "--home", str(self._store.root)],
            cwd=ROOT,
            env=child_environment(OMP_NUM_THREADS=str(self._settings.threads)),  # engines are kept by this number
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["It cannot be read."])[-1]
            raise BadClassifier(why[:300], "Choose another classifier.")

    @staticmethod
    def _key(folder: Path) -> tuple[Path, float]:
        facts = folder / "studio.json"
        return folder, facts.stat().st_mtime if facts.exists() else 0.0
