"""The words of a comparison and of results, explained in plain sentences where they appear: by hover, tap, keyboard."""

from __future__ import annotations

from zoo.ui.kit import esc

TERMS = {
    "accuracy": (
        "Accuracy",
        ("Share of pictures named rightly. Each picture is judged by a classifier that was fitted without it."),
    ),
    "balanced": (
        "Balanced accuracy",
        "The accuracy of every class by itself, then their mean. A large class cannot hide a small one.",
    ),
    "interval": (
        "95 % interval",
        (
            "Other pictures of the kind would give another accuracy. Nineteen times in twenty such a range "
            "holds the true one. Fewer pictures, wider range."
        ),
    ),
    "knn": (
        "kNN",
        (
            "Names a picture as its five nearest neighbours are named. It fits nothing, so it shows how far the "
            "features alone keep the classes apart."
        ),
    ),
    "logme": (
        "LogME",
        (
            "How likely the labels are under linear models of the features. Higher is better. No scale: compare "
            "it only within these pictures."
        ),
    ),
    "hscore": (
        "H-score",
        (
            "How far the classes’ means lie apart, against the spread of the features. Higher is better, up to "
            "the number of classes less one."
        ),
    ),
    "leep": (
        "LEEP",
        (
            "How well the old classes of the pretrained head foretell yours, by its probabilities. Shown above "
            "what shuffled labels give: 0 means it knows nothing of them."
        ),
    ),
    "nce": (
        "NCE",
        ("As LEEP, but of the one old class that the pretrained head finds likeliest. 0: it knows nothing of yours."),
    ),
    "transrate": (
        "TransRate",
        ("How much the features tell about the classes, measured in volume they fill. Shown above shuffled labels."),
    ),
    "debiased": (
        "Calibration error less chance",
        (
            "With few pictures even a perfectly honest classifier seems a little off. Redrawing the test pictures "
            "shows how much chance adds; this is what is left. 0: nothing beyond chance."
        ),
    ),
    "p_best": (
        "Chance of being best",
        "Of a thousand redrawn sets of your pictures, the share in which this backbone came first.",
    ),
    "mid_p": (
        "Against the best",
        (
            "How often chance alone would part two backbones of equal worth as far as these (McNemar’s test, "
            "mid-p). Below 0.05 the difference is likely real."
        ),
    ),
    "ms": (
        "Time a picture",
        (
            "Milliseconds for one picture here, on this machine, in the quickest way found. Other machines "
            "differ; the order mostly stays."
        ),
    ),
    "tap": (
        "Tap",
        (
            "A depth of the network at which its features are read: from edges and textures in the first layers "
            "to parts and things in the last."
        ),
    ),
    "tie": (
        "Tie",
        (
            "The data cannot tell these apart: on other pictures of the kind the order could turn around. Of "
            "those whose squared error is about the least the fastest is advised."
        ),
    ),
    "params": (
        "Weights",
        "Numbers that the network learned, in millions. More weights mean a larger file and more memory.",
    ),
    "gmacs": (
        "GMACs",
        "Billions of multiply-adds for one picture: the work to do, whatever the machine.",
    ),
    "front": (
        "The front",
        "Backbones that no other beats in both speed and accuracy. A sensible choice lies on it.",
    ),
    "licence": (
        "Licence",
        "What the weights’ makers allow. It binds the classifier that you make from them, too.",
    ),
    "tau": (
        "Kendall’s tau",
        "1: the foretold order was always right. 0: no better than chance. −1: always the wrong way round.",
    ),
}
TRUST = (
    "These scores look at the features without judging a single picture. Published tests find that they mostly measure "
    "how large a model is: a ranking that never saw the pictures agreed with the truth better (0.91) than LogME did "
    "(0.57; arXiv 2510.06448). So they stand beside the accuracy and decide nothing here."
)


# Here and not in a style sheet, because Gradio drops @supports: beside its term where browsers can, else at the foot.
BESIDE = """<style>@supports (position-area: block-end) { .tz-meaning { inset: auto !important;
margin: 6px 0 !important;
transform: none !important; position-area: block-end span-inline-end;
position-try-fallbacks: flip-block, flip-inline, flip-block flip-inline; } }</style>"""


def term(key: str, word: str = "") -> str:
    """``word`` as a button that opens what ``TERMS`` says of it; ``glossary`` has to be on the page once."""
    name, meaning = TERMS[key]
    return (
        f'<button type="button" class="tz-term" popovertarget="tz-term-{key}" title="{esc(meaning)}">'
        f"{esc(word or name)}</button>"
    )


def glossary() -> str:
    """Every explanation, shut until its term is pressed."""
    return BESIDE + "".join(
        f'<div class="tz-meaning" id="tz-term-{key}" popover><b>{esc(name)}</b><p>{esc(meaning)}</p></div>'
        for key, (name, meaning) in TERMS.items()
    )
