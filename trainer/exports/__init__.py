"""Ways to take a classifier away: one file a format, each with an ``EXPORT`` and a parity certificate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from zoo.errors import BadExport
from zoo.registry import discover


@runtime_checkable
class Export(Protocol):
    """A format to take away."""

    name: str
    title: str

    def write(self, classifier: Path, to: Path, pictures: Sequence[Path]) -> dict[str, Any]:
        """Write the classifier into the folder ``to`` and prove that it predicts the same.

        Args:
            pictures: held-out picture files for the proof.

        Returns:
            files, parity {pictures, agreement, max_abs_dp}, size_mb.

        Raises:
            BadExport: it disagrees with the classifier, or ``to`` cannot be written.
        """
        ...


def empty_folder(path: Path) -> None:
    """Make the folder ``path``.

    Raises:
        BadExport: it cannot be made, or holds something already.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        full = any(path.iterdir())
    except OSError as error:
        raise BadExport(f"{path} cannot be written: {error.strerror}.", "Name another folder.") from error
    if full:
        raise BadExport(f"{path} exists and is not empty.", "Name a folder that does not exist yet.")


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
