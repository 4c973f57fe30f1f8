"""The loss of a training batch: softened labels, rare classes weighed up, pictures blended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from trainer.plan import Plan

BLEND = 7  # sets the random numbers of blending apart from those of the order and of the augmentation


@dataclass(frozen=True)
class Target:
    """What a batch should be called: ``share`` of each picture is of class ``first``, the rest of ``second``."""

    first: torch.Tensor
    second: torch.Tensor | None = None
    share: float = 1.0

    def __getitem__(self, part: slice) -> Target:
        return Target(self.first[part], None if self.second is None else self.second[part], self.share)


class Loss:
    """Cross-entropy by a plan's label smoothing and balance; ``weights`` (C,) have mean 1 over the training part."""

    def __init__(self, plan: Plan, labels: NDArray[np.int64], classes: int, device: torch.device) -> None:
        self._smoothing = plan.label_smoothing
        self._weights: torch.Tensor | None = None
        if plan.balance == "weights":
            count = np.bincount(labels, minlength=classes)
            present = int((count > 0).sum())
            weights = np.where(count > 0, len(labels) / (present * np.maximum(count, 1)), 0.0)
            self._weights = torch.tensor(weights, dtype=torch.float32, device=device)

    def __call__(self, said: torch.Tensor, target: Target) -> torch.Tensor:
        """(B,) losses of (B, C) logits."""
        losses = self._of(said, target.first)
        if target.second is None:
            return losses
        return target.share * losses + (1 - target.share) * self._of(said, target.second)

    def _of(self, said: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        losses = functional.cross_entropy(said, truth, label_smoothing=self._smoothing, reduction="none")
        return losses if self._weights is None else losses * self._weights[truth]


def blended(x: torch.Tensor, truth: torch.Tensor, alpha: float, seed: tuple[int, ...]) -> tuple[torch.Tensor, Target]:
    """Each picture blended with another of its batch (mixup, Zhang et al. 2018); ``seed`` decides with which."""
    if not alpha or len(x) < 2:
        return x, Target(truth)
    rng = np.random.default_rng((*seed, BLEND))
    share = float(rng.beta(alpha, alpha))
    share = max(share, 1 - share)  # a batch is a set: this is the same pairs, the larger part named first
    other = torch.from_numpy(rng.permutation(len(x))).to(x.device)
    return torch.lerp(x[other], x, share), Target(truth, truth[other], share)
