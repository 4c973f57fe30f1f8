"""Where a classifier looked: each map over the picture with its tests, and the training pictures it resembles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.explain import overlay
from zoo.backbone import Picture
from zoo.pictures import Pictures
from zoo.ui import kit
from zoo.ui.kit import esc, image

METHODS = {
    "occlusion": (
        "Occlusion",
        (
            "hides one part of the picture after another and watches the answer: bright is what the answer hangs on. "
            "It needs nothing but answers, so every other map is held against it."
        ),
    ),
    "gradcam": (
        "Grad-CAM",
        (
            "asks the last layer that still knows places which of them spoke for the class. It looks inside, so it "
            "could show the picture’s edges rather than what was learned: that is what shuffled weights test."
        ),
    ),
    "rollout": (
        "Attention rollout",
        (
            "follows which patches a transformer’s layers looked at, for any class. It too is held against the same "
            "network with shuffled weights."
        ),
    ),
}
DELETION = (
    "Deletion test",
    (
        "takes the picture away part by part, the brightest first. If the answer is lost sooner than with parts taken "
        "at random, the map points at what matters."
    ),
)


def looked_html(prepared: Picture, label: str, maps: Sequence[dict[str, Any]], waiting: str = "") -> str:
    """The maps side by side; ``waiting`` is said while more are made."""
    shown = "".join(_map(prepared, one) for one in maps)
    said = "".join(kit.lesson(*METHODS[one["method"]]) for one in maps) + kit.lesson(*DELETION)
    first = (
        f'<figure><img src="{image(prepared, 320)}" alt="as the network takes it"><figcaption>'
        "<b>As the network takes it</b></figcaption></figure>"
    )
    body = f'<div class="tz-figures tz-maps">{first}{shown}</div>'
    title = f"Where it looked for {label}"
    return f'<div class="tz-stack">{kit.panel(title, body)}{waiting}<div class="tz-stack tight">{said}</div></div>'


def _map(prepared: Picture, one: dict[str, Any]) -> str:
    heat, test, badges = np.asarray(one["heat"], dtype=np.float64), one.get("deletion"), []
    if test is not None:  # the map is there before its test
        badges.append(_badge(test["faithful"], "deletion test passed", "no better than chance here"))
        badges.append(f"<small>{test['area']:.2f} left on average, at random {test['chance']:.2f}</small>")
    if one.get("sane") is not None:
        badges.append(_badge(one["sane"], "changes with shuffled weights", "same with shuffled weights: shows edges"))
        badges.append(f"<small>rank correlation {one['shuffled']:.2f}; with occlusion {one['agreement']:.2f}</small>")
    name = METHODS[one["method"]][0]
    return (
        f'<figure><img src="{image(overlay(prepared, heat), 320)}" alt="{name}: bright where it looked">'
        f"<figcaption><b>{name}</b><br>{'<br>'.join(badges)}</figcaption></figure>"
    )


def _badge(good: bool, yes: str, no: str) -> str:
    return f'<span class="tz-badge{"" if good else " warn"}">{yes if good else no}</span>'


def resembles_html(near: Sequence[dict[str, Any]], pictures: Pictures | None) -> str:
    """The training pictures most like it, with their labels."""
    if not near or pictures is None:
        return ""
    cells = "".join(
        f'<figure><img src="{kit.thumbnail(pictures, one["index"], 160)}" alt="{esc(one["label"])}"><figcaption><b>'
        f"{kit.own(one['label'])}</b><br>likeness {one['cosine']:.2f}</figcaption></figure>"
        for one in near
    )
    note = "By what the last layer reads of them; likeness is the cosine, 1 for the same. Wrong labels show here, too."
    return kit.panel("Training pictures it resembles", f'<div class="tz-figures">{cells}</div>', note)
