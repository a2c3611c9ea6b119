"""The base class of methods that learn from a mean teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from tlda.data.augmenting import Augment
from tlda.method import Method
from tlda.nn import MovingAverage
from tlda.nn.averages import begins_step

Strong = Sequence[Augment] | None
"""Augmentations of what the network learns and the teacher sees without; where there are none, those of the method."""


class MeanTeacher(Method):
    """The base of methods with a teacher beside the network: the moving average of its weights (Tarvainen and Valpola, NeurIPS 2017).

    Args:
        momentum: what the teacher keeps of itself at each step; in the first ones less, so that it is the mean of all weights so far.
    """

    def __init__(self, *, momentum: float = 0.99, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum, self.teacher = momentum, MovingAverage(*self.student())

    def student(self) -> list[nn.Module]:
        """What the teacher is the moving average of, in order."""
        return [self.network.backbone, self.network.bottleneck, self.network.head]

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        # Before a step and not after one, where a checkpoint of this batch may be written already.
        if self.global_step == 0:
            self.teacher.become(*self.student())
        if begins_step(self.trainer):
            self.teacher.follow(min(self.momentum, 1 - 1 / (self.global_step + 1)), *self.student())
