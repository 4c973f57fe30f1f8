"""Checkpoints that are whole or absent: the newest state to go on from, and the best weights so far."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.store import new_id

if TYPE_CHECKING:
    import torch
    from torch import nn

RANDOM, DEVICE = "random", "random of the device"


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
        """What was saved last, random state restored; None where nothing was."""
        import torch

        path = self._folder / "newest.pt"
        if not path.is_file():
            return None
        state: dict[str, Any] = torch.load(path, map_location=device.type, weights_only=True)  # not cpu:0
        torch.set_rng_state(state.pop(RANDOM).cpu())
        drawn = state.pop(DEVICE, None)
        if drawn is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(drawn.cpu())
        return state

    def save_best(self, network: nn.Module) -> None:
        self._write(self._folder / "best.pt", network.state_dict())

    def load_best(self, network: nn.Module) -> None:
        """Give ``network`` the best weights; where no epoch was better than none, it keeps its own."""
        import torch

        path = self._folder / "best.pt"
        if path.is_file():
            device = next(network.parameters()).device
            network.load_state_dict(torch.load(path, map_location=device, weights_only=True))

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
