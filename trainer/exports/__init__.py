"""Ways to take a classifier away: one file a format, each with an ``EXPORT`` and a parity certificate."""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol, runtime_checkable

from trainer.proof import Order
from zoo.errors import BadExport
from zoo.registry import discover


@runtime_checkable
class Export(Protocol):
    """A format to take away.

    Attributes:
        title, why: its name and one sentence on whom it is for, as the page shows them.
        remote: it goes to a hub, not into a folder.
    """

    name: str
    title: str
    why: str
    remote: bool

    def write(self, order: Order) -> dict[str, Any]:
        """Write what was ordered and prove that it predicts the same; a copy that does not is not kept.

        Returns:
            files, parity {pictures, agreement, max_abs_dp, latency_ms {p50, p95}}, size_mb.

        Raises:
            BadExport: it disagrees with the classifier, or cannot be written.
        """
        ...


@cache
def exports() -> dict[str, Export]:
    """Every format, by name."""
    from trainer import exports as folder

    return discover(folder, "EXPORT", Export)  # type: ignore[type-abstract]


def export(name: str) -> Export:
    """The format called ``name``.

    Raises:
        BadExport: there is none.
    """
    if name not in exports():
        raise BadExport(f"There is no export format {name[:80]!r}.", f"Choose one of: {', '.join(exports())}.")
    return exports()[name]
