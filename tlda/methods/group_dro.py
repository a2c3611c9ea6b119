"""Distributionally robust optimisation over domains."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Output, SourceBatch
from tlda.losses import group_dro
from tlda.methods.several_sources import SeveralSources


class GroupDRO(SeveralSources):
    """Distributionally robust optimisation: source domains count the more, the higher their risk was (Sagawa et al., ICLR 2020).

    Args:
        eta: the step of the domains' weights per batch.
    """

    setting: ClassVar[str] = "generalisation"

    def __init__(self, *, eta: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.eta, count = eta, len(self.task.sources)
        self.weights: Tensor
        self.register_buffer("weights", torch.full((count,), 1 / count))

    def objective(self, batch: SourceBatch, source: Output, target: Output) -> dict[str, Tensor]:
        parts = self.parts(batch, source)
        there = torch.tensor([part.number for part in parts], device=self.weights.device)
        before = self.weights[there]
        robust, weights = group_dro(self.risks(parts), before, self.eta)
        self.weights[there] = weights * before.sum()  # a domain that this batch lacks keeps its weight
        return {"robust": robust, **self.added(batch, source, target)}
