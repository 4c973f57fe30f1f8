"""Pictures being read, seen from the page: progress, a button that ends it, and the sentence if it cannot be done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from zoo.dataset import Dataset
from zoo.errors import Cancelled, StudioError
from zoo.sandbox import Progress
from zoo.ui import kit
from zoo.ui.watch import watched

STAGES = {
    "unpack": "Unpacking",
    "read": "Reading the table",
    "fetch": "Fetching",
    "decode": "Reading pictures",
    "group": "Looking for the same picture twice",
}


class Readings:
    """What each visitor has under way, so that they can end it."""

    def __init__(self) -> None:
        self._stops: dict[str, threading.Event] = {}

    def stop(self, visitor: str) -> None:
        """Ask what ``visitor`` has under way to end at its next word."""
        if visitor in self._stops:
            self._stops[visitor].set()

    def follow(self, visitor: str, work: Callable[[Progress], Dataset]) -> Iterator[tuple[str, str]]:
        """(What to show, "") while ``work`` goes on, then ("", the dataset's id) or (why there is none, "")."""
        stop = self._stops[visitor] = threading.Event()

        def heeding(tell: Callable[..., None]) -> Dataset:
            def told(stage: str, done: int, total: int) -> None:
                if stop.is_set():
                    raise Cancelled
                tell(stage, done, total)

            return work(told)

        yield kit.bar(0, "Opening"), ""
        try:
            for report, dataset in watched(heeding):
                if report:
                    yield _progress(*report), ""
                if dataset:
                    yield "", dataset.id
        except Cancelled as stopped:
            yield kit.say(str(stopped), "wait"), ""
        except StudioError as error:
            yield kit.say(str(error), "bad"), ""
        finally:
            self._stops.pop(visitor, None)


def _progress(stage: str, done: int, total: int) -> str:
    name = STAGES.get(stage, stage)
    return kit.bar(done / total if total else 0, f"{name}: {done:,} of {total:,}" if total else f"{name} …")
