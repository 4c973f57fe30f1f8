"""Slots: how many runs this machine takes at once, and which graphics card each of them computes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.settings import Settings, child_environment, visible_cards

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA's, AMD's, Windows' for Linux
COUNT = "import torch; print(torch.cuda.device_count())"


@dataclass(frozen=True)
class Slots:
    """One slot a graphics card, one where there is none, or as many as ``STUDIO_SLOTS`` says.

    Attributes:
        devices: what ``CUDA_VISIBLE_DEVICES`` may hold, one card each; slots share them in turn where there are more.
        threads: CPU threads for all slots together.
    """

    count: int = 1
    devices: tuple[str, ...] = ()
    threads: int = 1

    @classmethod
    def of(cls, settings: Settings) -> Slots:
        """This machine's."""
        devices = cards()
        return cls(settings.slots or max(1, len(devices)), devices, settings.threads)

    def needed(self, processes: int) -> int:
        """How many a run of so many processes takes: a card each, as far as there are; without cards they share one."""
        return min(processes, self.count) if self.devices else 1

    def environment(self, taken: Sequence[int]) -> dict[str, str]:
        """What keeps a run to the slots ``taken``: its cards, and its share of the threads."""
        kept = {}
        if self.devices:
            own = dict.fromkeys(self.devices[slot % len(self.devices)] for slot in taken)
            kept["CUDA_VISIBLE_DEVICES"] = ",".join(own)
        if self.count > 1:
            kept["OMP_NUM_THREADS"] = str(max(1, self.threads * len(taken) // self.count))
        return kept


def cards() -> tuple[str, ...]:
    """The CUDA devices of this machine by number or name; a child asks torch, and only where there is a driver."""
    named = visible_cards()
    if named == () or not any(Path(driver).exists() for driver in DRIVERS):
        return ()
    asked = [sys.executable, "-c", COUNT]
    told = subprocess.run(asked, env=child_environment(), capture_output=True, text=True, check=False, timeout=300)
    count = int(told.stdout.strip() or 0) if told.returncode == 0 else 0
    return named[:count] if named else tuple(map(str, range(count)))
