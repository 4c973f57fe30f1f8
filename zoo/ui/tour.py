"""A first visit's tour: five words of the trade, each where it matters, beside the visitor's own figures."""

from __future__ import annotations

from pathlib import Path

from zoo.ui.kit import esc

SCRIPT = Path(__file__).with_name("tour.js").read_text()
STOPS = (  # the screen, the word, what it means there
    (
        "compare",
        "Feature extraction",
        (
            "A pretrained network turns each picture into some hundred numbers, its features. The network stays as it "
            "is. What is measured here is how well those numbers alone tell your classes apart."
        ),
    ),
    (
        "train",
        "Fine-tuning",
        (
            "The pretrained weights themselves are changed a little, so that the features fit your pictures. It pays "
            "where your pictures look unlike the photos that the network knows; where they are few, it can do harm."
        ),
    ),
    (
        "train",
        "Backpropagation",
        (
            "How a network learns: the error of an answer is handed back from the last layer to the first, and tells "
            "every weight which way to move. Layers before the cut are spared it, which is why a late cut is quick."
        ),
    ),
    (
        "results",
        "Overfitting",
        (
            "Learning pictures by heart instead of what they have in common. It shows as a gap between pictures it "
            "learned from and pictures that it never saw. Only the second kind is counted here."
        ),
    ),
    (
        "results",
        "Autoencoder",
        (
            "A network that squeezes features through a few numbers and rebuilds them. Badly rebuilt means unlike "
            "everything in training: that is how a classifier can say that it does not know."
        ),
    ),
)


def tour_html() -> str:
    """The offer and the stops, all hidden until the script shows one of them."""
    shown = [_offer(), *(_stop(number, *stop) for number, stop in enumerate(STOPS, 1))]
    return f'<aside class="tz-tour" role="region" aria-label="Tour" hidden>{"".join(shown)}</aside>'


def _offer() -> str:
    return (
        '<div data-stop="0" tabindex="-1" hidden><div><b>New here?</b><p>Five words explain the whole studio. '
        "The tour shows each where it matters; it takes a minute.</p></div><div>"
        '<button type="button" data-tour="1">Start the tour</button>'
        '<button type="button" class="quiet" data-tour="end">Not now</button></div></div>'
    )


def _stop(number: int, screen: str, word: str, meaning: str) -> str:
    last = number == len(STOPS)
    onward = "" if last else f'<button type="button" data-tour="{number + 1}">Next word</button>'
    return (
        f'<div data-stop="{number}" data-screen="{esc(screen)}" tabindex="-1" hidden><div><b>{esc(word)}</b> '
        f"<small>{number} / {len(STOPS)}</small><p>{esc(meaning)}</p>"
        '<p class="own" hidden><span>Yours:</span> <span data-own></span></p></div><div>'
        f'{onward}<button type="button" class="quiet" data-tour="end">{"Done" if last else "End the tour"}</button>'
        "</div></div>"
    )
