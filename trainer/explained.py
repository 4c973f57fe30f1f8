"""What a run's curves say in words: whether it learns its pictures by heart, and why it ended early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.events import Epoch
from trainer.plan import Plan

NOTHING_LEFT = 0.01  # held-out log loss: right answers are given 99 %, on the average


def kept(epochs: Sequence[Epoch]) -> Epoch | None:
    """The epoch whose weights are kept."""
    return next((epoch for epoch in reversed(epochs) if epoch.best), None)


def gap(epoch: Epoch) -> dict[str, Any]:
    """How much more often it is right on what it learned from, with the 95 % interval.

    Where the run measured it on pictures shown alike, that; else by what the held-out part leaves open (Newcombe 1998,
    method 10, the larger training part's own uncertainty neglected).
    """
    if epoch.gap is not None and epoch.gap_interval is not None:
        return {"difference": epoch.gap, "interval": list(epoch.gap_interval)}
    low, high = epoch.interval
    return {
        "difference": epoch.train_accuracy - epoch.accuracy,
        "interval": [epoch.train_accuracy - high, epoch.train_accuracy - low],
    }


def overfitting(plan: Plan | None, epochs: Sequence[Epoch]) -> str:
    """Whether it learns its pictures by heart, as far as its curves tell; "" before there is one.

    Of a linear head the kept candidate is judged, of passes over the pictures the last.
    """
    best = kept(epochs)
    if not epochs or best is None:
        return ""
    head = plan is not None and plan.strategy == "linear_head"
    told = gap(best if head else epochs[-1])
    low, high = told["interval"]
    words = (
        f"learned-from minus held-out is {100 * told['difference']:+.0f} points ({100 * low:+.0f} to {100 * high:+.0f})"
    )
    if low <= 0:
        return f"No overfitting to be seen: {words}, which may be nothing."
    if head:
        return f"A gap: {words}. A looser layer would only widen it; this one is best on held-out pictures."
    if epochs[-1].loss > best.loss:
        return f"Overfitting: {words}, and since pass {best.epoch} the held-out loss has not got better."
    return f"A gap, no harm yet: {words}, and held-out pictures still gain."


def early_stop(plan: Plan | None, epochs: Sequence[Epoch], state: str) -> str:
    """Why it ended before its last pass, or how near it is to that; "" where neither is the case."""
    best = kept(epochs)
    if plan is None or best is None or plan.strategy == "linear_head":
        return ""
    done, waited = epochs[-1].epoch, epochs[-1].epoch - best.epoch
    keeps = f"the weights of pass {best.epoch} are kept"
    if state == "running" and plan.patience and 0 < waited < plan.patience:
        return f"{waited} of {plan.patience} passes without a better held-out loss; then it stops early, and {keeps}."
    if state != "finished" or done >= plan.epochs:
        return ""
    if plan.patience and best.loss < NOTHING_LEFT:
        return (
            f"Stopped early, after pass {done} of {plan.epochs}: a held-out loss of {best.loss:.3f} leaves nothing "
            f"to gain that these pictures could show; {keeps}."
        )
    if plan.patience and waited >= plan.patience:
        return f"Stopped early, after pass {done} of {plan.epochs}: {waited} without a better held-out loss; {keeps}."
    if plan.budget_seconds:
        return f"Ended after pass {done} of {plan.epochs}, at its limit of {plan.budget_seconds:g} s; {keeps}."
    return ""
