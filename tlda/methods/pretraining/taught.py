"""The base class of self-supervised methods with a teacher."""

from __future__ import annotations

from typing import Any

from torch import nn

from tlda.methods.pretraining.base import Pretraining
from tlda.nn import MovingAverage, rising
from tlda.nn.averages import begins_step


class Taught(Pretraining):
    """The base of methods with a teacher: the moving average of the network and of some layers beside it.

    Args:
        momentum: what the average keeps of itself at each step at first; by half a cosine it rises to 1.
    """

    teacher: MovingAverage

    def __init__(self, *, momentum: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum

    def teach(self, *names: str) -> None:
        """Make the teacher, of the backbone, the bottleneck, and the layers of ``self.learnt`` called ``names``."""
        self.taught = names
        self.teacher = MovingAverage(*self.student())

    def student(self) -> list[nn.Module]:
        """What the teacher is the moving average of, in order."""
        return [self.backbone, self.bottleneck, *(self.learnt[name] for name in self.taught)]

    def setup(self, stage: str) -> None:
        starts = self.init_from
        super().setup(stage)
        if starts:
            self.teacher.become(*self.student())

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        # Before a step and not after one, where a checkpoint of this batch may be written already; the first changes nothing.
        if begins_step(self.trainer):
            self.teacher.follow(rising(self.momentum, self.progress), *self.student())
