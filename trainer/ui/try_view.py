"""An answer as a person reads it: the label, how sure, what else it could be, whether it knows such pictures at all."""

from __future__ import annotations

from trainer.prediction import Prediction
from zoo.backbone import Picture
from zoo.ui import kit
from zoo.ui.kit import esc, image, percent

SHOWN = 5
EMPTY = kit.say("Drop, paste or photograph a picture, or choose one from the test part: the answer appears here.")


def answer_html(picture: Picture, answer: Prediction, truth: str = "") -> str:
    """One picture with its answer; ``truth`` is its label where that is known."""
    bars = "".join(
        f'<li><span title="{esc(label)}">{esc(label)}</span><div><i style="width:{100 * share:.1f}%"></i></div>'
        f"<span>{percent(share)}</span></li>"
        for label, share in answer.top[:SHOWN]
    )
    return (
        f'<article class="tz-answer"><img src="{image(picture, 264)}" alt="the picture asked about"><div>'
        f"<h3>{esc(answer.label)}{_verdict(answer, truth)}</h3><p>{esc(_certainty(answer))}</p>"
        f'<ul class="tz-bars">{bars}</ul></div></article>'
    )


def problem_html(name: str, sentence: str) -> str:
    return kit.say(f"{name}: {sentence}", "bad")


def _verdict(answer: Prediction, truth: str) -> str:
    if not truth:
        return ""
    if truth == answer.label:
        return '<span class="tz-badge">right</span>'
    return f'<span class="tz-badge bad">it is {esc(truth)}</span>'


def _certainty(answer: Prediction) -> str:
    took = f"{max(1, round(1000 * answer.seconds))} ms"
    if answer.unknown:
        return f"But it looks like nothing the classifier has seen: do not trust this answer. {took}"
    if len(answer.set) > 1 and len(answer.set) < len(answer.top):
        return f"Nine times in ten it is one of: {', '.join(answer.set)}. {took}"
    return f"{percent(answer.probability)} sure, answered in {took}"
