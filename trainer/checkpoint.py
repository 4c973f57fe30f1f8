"""Checkpoints that are whole or absent: the newest state to go on from, and the best weights so far."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.store import new_id

if TYPE_CHECKING:
    import torch

RANDOM, DEVICE = "random", "random of the device"


def restore_random(state: dict[str, Any]) -> None:
    """Make torch draw on from where it was when ``state`` was saved."""
    import torch

    torch.set_rng_state(state[RANDOM].cpu())
    drawn = state.get(DEVICE)
    if drawn is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(drawn.cpu())


class Checkpoints:
    """The checkpoints of one run; only the first process of a run writes."""

    def __init__(self, folder: Path, writes: bool) -> None:
        self._folder = folder
        self._writes = writes

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Keep ``state`` with torch's random state as the newest; a crash leaves the one before."""
        import torch

        random = {RANDOM: torch.get_rng_state()}
        if torch.cuda.is_available():
            random[DEVICE] = torch.cuda.get_rng_state()
        self._write(self._folder / "newest.pt", state | random | {"step": step})

    def newest(self, device: torch.device) -> dict[str, Any] | None:
        """What was saved last; None where nothing was."""
        return self._read("newest.pt", device)

    def save_best(self, weights: dict[str, Any]) -> None:
        self._write(self._folder / "best.pt", weights)

    def best(self, device: torch.device) -> dict[str, Any] | None:
        """The best weights; None where no epoch was better than none."""
        return self._read("best.pt", device)

    def _read(self, name: str, device: torch.device) -> dict[str, Any] | None:
        import torch

        path = self._folder / name
        if not path.is_file():
            return None
        state: dict[str, Any] = torch.load(path, map_location=device.type, weights_only=True)  # not cpu:0
        return state

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        import torch

        if not self._writes:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for stale in self._folder.glob(".draft-*"):
            stale.unlink()  # left by a crash: one worker at a time is in this folder
        draft = self._folder / f".draft-{new_id()}"
        with draft.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
