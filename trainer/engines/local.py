"""Runs as processes of this machine: the worker itself, or torch's launcher with several of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from trainer.launched import Launched
from trainer.plan import Plan

WORKER = ("-m", "trainer", "work")


class Local(Launched):
    """Starts workers in sessions of their own, so that they outlive the page and the supervisor."""

    name = "local"

    def __init__(self, worker: Sequence[str] = WORKER, program: str = sys.executable) -> None:
        super().__init__(worker, program)

    def _before(self, plan: Plan) -> Sequence[str]:
        if plan.processes == 1:
            return ()
        return ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(plan.processes))


ENGINE = Local()
