"""Invariant risk minimisation."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.losses import irm_penalty
from tlda.losses.irm_penalty import PenaltyVariant
from tlda.methods.penalised import Penalised
from tlda.methods.several_sources import Part


class IRM(Penalised):
    """Invariant risk minimisation: one head is the best for every source domain at once (Arjovsky et al., 2019).

    Args:
        trade_off: the weight of the penalty; DomainBed's is 100.
        anneal: the fraction of the run in which the weight is 1 at most; then the optimizer's moments start anew.
        variant: the penalty of a domain: ``domainbed``, unbiased in small batches, or ``paper``, see :func:`tlda.losses.irm_penalty`.
    """

    setting: ClassVar[str] = "generalisation"
    reads_classes: ClassVar[bool] = True
    least: ClassVar[int] = 2

    def __init__(self, *, trade_off: float = 100.0, anneal: float = 0.1, variant: PenaltyVariant = "domainbed", **kwargs: Any) -> None:
        super().__init__(trade_off=trade_off, anneal=anneal, **kwargs)
        self.variant = variant

    def penalty(self, parts: list[Part], risks: Tensor) -> Tensor:
        return torch.stack([irm_penalty(part.output.logits, part.labels, self.variant) for part in parts]).mean()
