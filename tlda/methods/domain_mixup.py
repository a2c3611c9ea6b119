"""Mixtures of the inputs of two domains."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Beta

from tlda.batch import Output, SourceBatch, Takes
from tlda.errors import UserError
from tlda.methods.several_sources import SeveralSources


class DomainMixup(SeveralSources):
    """Mixup across domains: a row of a source domain is mixed with one of the next, and so is its loss (Yan et al., 2020), as in DomainBed.

    .. math::
        x = \\lambda x_i + (1 - \\lambda) x_j, \\quad
        \\lambda \\, \\mathrm{CE}(p, y_i) + (1 - \\lambda) \\, \\mathrm{CE}(p, y_j), \\quad \\lambda \\sim \\mathrm{Beta}(\\alpha, \\alpha)

    Args:
        alpha: both parameters of the beta distribution of the shares; small ones leave most rows nearly as they are.

    Raises:
        UserError: the parameter is not positive.
    """

    setting: ClassVar[str] = "generalisation"
    takes: ClassVar[Takes] = "numbers"

    def __init__(self, *, alpha: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not alpha > 0:
            raise UserError(f"--model.alpha is {alpha}: the parameter of a beta distribution must be more than 0")
        self.alpha = alpha

    def objective(self, batch: SourceBatch, source: Output, target: Output) -> dict[str, Tensor]:
        parts = self.parts(batch, source)
        order = torch.randperm(len(parts)).tolist()
        mixed = [self.mixed(batch, parts[one].rows, parts[other].rows) for one, other in zip(order, order[1:] + order[:1], strict=True)]
        return {"mixed": torch.stack(mixed).mean(), **self.added(batch, source, target)}

    def mixed(self, batch: SourceBatch, first: Tensor, second: Tensor) -> Tensor:
        """The loss of a mixture of two domains' rows, as many as both have, to the labels of either, by its share."""
        (x, y), count = batch.source[:2], min(len(first), len(second))
        share = float(Beta(self.alpha, self.alpha).sample())
        one, other = first[:count], second[:count]
        logits = self(share * x[one] + (1 - share) * x[other]).logits
        return share * self.task_loss(logits, y[one]) + (1 - share) * self.task_loss(logits, y[other])
