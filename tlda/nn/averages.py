"""Copies of networks that follow them."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from pytorch_lightning import Trainer


class MovingAverage(nn.Module):
    """A copy of ``modules``, one after the other, whose parameters are the moving average of theirs; it has no gradient.

    It is a network of its own otherwise: in training its BatchNorm normalises by the batch, and its running statistics are its own.
    """

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.copy = copy.deepcopy(nn.Sequential(*modules)).requires_grad_(False)

    def become(self, *modules: nn.Module) -> None:
        """Be what ``modules``, of the same kinds, are now."""
        self.copy.load_state_dict(nn.Sequential(*modules).state_dict())

    @torch.no_grad()
    def follow(self, momentum: float, *modules: nn.Module) -> None:
        """Keep the fraction ``momentum`` of each parameter, and take the rest of it from ``modules``."""
        for mine, theirs in zip(self.copy.parameters(), nn.Sequential(*modules).parameters(), strict=True):
            mine.lerp_(theirs, 1 - momentum)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.copy(x)
        return output


def rising(momentum: float, progress: float) -> float:
    """From ``momentum`` at the beginning to 1 at the end, by half a cosine (Grill et al., NeurIPS 2020, sec. 3.3)."""
    return 1 - (1 - momentum) * (math.cos(math.pi * progress) + 1) / 2


def begins_step(trainer: Trainer) -> bool:
    """Whether the training batch is the first of an optimizer's step, which may take several (``accumulate_grad_batches``).

    A copy follows then, once a step.
    """
    return trainer.fit_loop.batch_idx % trainer.accumulate_grad_batches == 0
