"""Long work seen from the page: it runs in a thread and what it reports comes out as an iterator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")


def watched(
    work: Callable[[Callable[..., None]], Result], every: float = 0.25
) -> Iterator[tuple[tuple[Any, ...] | None, Result | None]]:
    """Run ``work`` and yield (what it reported last, None), then (None, its result).

    Of several reports within ``every`` seconds only the last is yielded: a browser need not draw them all.
    """
    reports: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(copy_context().run, work, lambda *report: reports.put(report))
        while not running.done():
            try:
                running.exception(timeout=every)
            except TimeoutError:
                latest = _latest(reports)
                if latest is not None:
                    yield latest, None
        yield None, running.result()


def _latest(reports: SimpleQueue[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    latest = None
    while True:
        try:
            latest = reports.get_nowait()
        except Empty:
            return latest
