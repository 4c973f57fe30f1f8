"""How extension files are found: one file, one constant, nothing else to register."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

Kind = TypeVar("Kind")


def discover(folder: ModuleType, constant: str, kind: type[Kind]) -> dict[str, Kind]:
    """Every ``constant`` of the modules in the package ``folder``, by its ``name``, in file order.

    Raises:
        TypeError: a file of the folder lacks the constant, or has another kind of it.
        ValueError: two files offer the same name.
    """
    found: dict[str, Kind] = {}
    for module in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."):
        offered = getattr(importlib.import_module(module.name), constant, None)
        if not isinstance(offered, kind):
            raise TypeError(f"{module.name} has no {constant} of kind {kind.__name__}")
        name: str = offered.name  # type: ignore[attr-defined]
        if name in found:
            raise ValueError(f"{module.name} offers {name!r}, which another file of its folder offers already")
        found[name] = offered
    return found
