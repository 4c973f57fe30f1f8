"""How deep to train: one file a strategy, each with a ``STRATEGY``."""

from __future__ import annotations

from functools import cache

from trainer.job import Strategy
from zoo.errors import BadPlan
from zoo.registry import discover


@cache
def strategies() -> dict[str, Strategy]:
    """Every strategy, by name."""
    from trainer import strategies as folder

    return discover(folder, "STRATEGY", Strategy)  # type: ignore[type-abstract]


def strategy(name: str) -> Strategy:
    """The strategy called ``name``.

    Raises:
        BadPlan: there is none.
    """
    if name not in strategies():
        raise BadPlan(f"There is no strategy {name[:80]!r}.", f"Choose one of: {', '.join(strategies())}.")
    return strategies()[name]
