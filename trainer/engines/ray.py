"""Runs on a Ray cluster: a driver of this machine hands each to Ray, whose queue and whose nodes they are."""

from __future__ import annotations

import signal

from trainer.launched import Launched


class Ray(Launched):
    """Starts drivers. A driver's end is the end of the run's processes on the nodes, which Ray sees to."""

    name = "ray"
    elsewhere = True
    gently = signal.SIGINT  # after SIGTERM some of Ray's own processes stay behind

    def __init__(self) -> None:
        super().__init__(("-m", "trainer", "drive"))


ENGINE = Ray()
