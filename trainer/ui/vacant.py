"""A screen for a classifier before one is shown: it is looked for, or there is none yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from zoo.ui import kit
from zoo.ui.kit import Next

LOOKING = "Looking for your classifiers."
MOMENT = "One moment."


@dataclass(frozen=True)
class Vacant:
    """What stands in a screen's place; ``bare`` remembers that it said there is none, which may be over next time."""

    none: str
    box: gr.HTML
    after: Next
    bare: gr.State

    @classmethod
    def place(cls, none: str, **labels: str) -> Vacant:
        """Lay it out; ``none`` is said where there is no classifier, and then the button "train" is shown."""
        return cls(none, gr.HTML(kit.looking(LOOKING)), Next.place(MOMENT, **labels), gr.State(False))

    @property
    def parts(self) -> list[Any]:
        """The components that the other three update, in their order."""
        return [self.box, self.bare, *self.after.parts]

    def away(self, bare: bool) -> list[Any]:
        """Another screen is open: whoever comes back is not told first what was so before."""
        if not bare:
            return [gr.skip()] * len(self.parts)
        return [gr.HTML(kit.looking(LOOKING)), False, *self.after.now(MOMENT)]

    def empty(self) -> list[Any]:
        """There is no classifier."""
        return [gr.HTML(kit.say(self.none), visible=True), True, *self.after.now(self.none, "train")]

    def filled(self, sentence: str, *shown: str) -> list[Any]:
        """There is one, and ``sentence`` is next; the sentence that stands there, where it is empty."""
        then = self.after.now(sentence, *shown) if sentence else [gr.skip()] * len(self.after.parts)
        return [gr.HTML(visible=False), False, *then]
