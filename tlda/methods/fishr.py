"""Invariant variances of gradients."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tlda.errors import UserError
from tlda.losses import gradient_variance, variance_distance
from tlda.methods.penalised import Penalised
from tlda.methods.several_sources import Part


class Fishr(Penalised):
    """Fishr: the head's gradients vary over the rows of each source domain alike (Rame et al., ICML 2022).

    Args:
        trade_off: the weight of the distance of the variances, which is summed over parameters; DomainBed's 1000 is of their mean.
        anneal: the fraction of the run in which the weight is 1 at most; then the optimizer's moments start anew.
        smoothing: how much of a domain's variance is that of earlier batches, from 0 to less than 1.

    Raises:
        UserError: a fraction is out of range, or the head is not one linear layer.
    """

    setting: ClassVar[str] = "generalisation"
    reads_classes: ClassVar[bool] = True
    least: ClassVar[int] = 2

    def __init__(self, *, trade_off: float = 1.0, anneal: float = 0.3, smoothing: float = 0.95, **kwargs: Any) -> None:
        super().__init__(trade_off=trade_off, anneal=anneal, **kwargs)
        if not 0 <= smoothing < 1:
            raise UserError(f"--model.smoothing is {smoothing}: it is a fraction of the variance, from 0 to less than 1")
        if not isinstance(self.head, nn.Linear):
            raise UserError("Fishr has the gradients of one linear layer, and the head is another: leave --model.head out")
        self.smoothing = smoothing
        self.earlier: Tensor
        self.register_buffer("earlier", torch.full((len(self.task.sources), sum(p.numel() for p in self.head.parameters())), torch.nan))

    def penalty(self, parts: list[Part], risks: Tensor) -> Tensor:
        return variance_distance([self.smoothed(part) for part in parts])

    def smoothed(self, part: Part) -> Tensor:
        """The variances of a domain, averaged with those of earlier batches; the gradient is as large as without the average."""
        now, before = gradient_variance(*part.output, part.labels), self.earlier[part.number]
        mean = now if bool(before.isnan().any()) else self.smoothing * before + (1 - self.smoothing) * now
        self.earlier[part.number] = mean.detach()
        return mean / (1 - self.smoothing)
