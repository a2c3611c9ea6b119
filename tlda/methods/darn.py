"""Domain aggregation networks."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.errors import UserError
from tlda.methods.source_critics import SourceCritics


def on_simplex(point: Tensor) -> Tensor:
    """The nearest point to ``point`` (k,) whose numbers are not negative and have the sum 1 (Duchi et al., ICML 2008, fig. 1)."""
    descending = point.sort(descending=True).values
    excess = (descending.cumsum(0) - 1) / torch.arange(1, len(point) + 1, device=point.device)
    return (point - excess[int((descending > excess).sum()) - 1]).clamp_min(0)


class DARN(SourceCritics):
    """Domain aggregation networks: source domains of low risk and near the target count, the others not at all (Wen et al., ICML 2020).

    The weights minimise the weighted sum of the losses and ``tau / 2`` times their squared length.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the hidden layers of each source's discriminator.
        tau: how evenly the source domains are weighted.
    """

    setting: ClassVar[str] = "multi-source"

    def __init__(self, *, tau: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not tau > 0:
            raise UserError(f"--model.tau is {tau}: the evenness must be more than 0")
        self.tau = tau

    def weights(self, losses: Tensor) -> Tensor:
        return on_simplex(-losses / self.tau)
