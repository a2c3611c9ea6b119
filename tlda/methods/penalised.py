"""The base class of methods that penalise how source domains differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from tlda.batch import Output, SourceBatch
from tlda.errors import UserError
from tlda.methods.several_sources import Part, SeveralSources


class Penalised(SeveralSources, ABC):
    """The base of methods that add a penalty on how source domains differ to the mean of their risks.

    Args:
        trade_off: the weight of the penalty.
        anneal: the fraction of the run in which the weight is 1 at most. Where it ends the optimizer forgets its moments, as in DomainBed,
            since the gradients grow by orders of magnitude.
        rescaled: divide the whole loss by the weight where that is above 1, as the code of IRM's authors for Coloured MNIST does. The
            gradients do not grow then, and the optimizer keeps its moments: steps are far smaller than after a new beginning.
        l2: the weight of the squared norm of all parameters, a term of the loss that is divided too, which the optimizer's decay is not.

    Raises:
        UserError: the fraction is not from 0 to less than 1.
    """

    def __init__(self, *, trade_off: float = 1.0, anneal: float = 0.1, rescaled: bool = False, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= anneal < 1:
            raise UserError(f"--model.anneal is {anneal}: it is a fraction of the run, from 0 to less than 1")
        self.trade_off, self.anneal, self.rescaled, self.l2 = trade_off, anneal, rescaled, l2
        self.annealed: Tensor
        self.register_buffer("annealed", torch.tensor(anneal == 0))

    @abstractmethod
    def penalty(self, parts: list[Part], risks: Tensor) -> Tensor:
        """The penalty, a scalar, of the domains' ``parts`` of a batch, whose ``risks`` are (k,)."""

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        if self.progress >= self.anneal and not self.annealed:
            self.annealed.fill_(True)
            for optimizer in self.trainer.optimizers if not self.rescaled else ():
                optimizer.state.clear()

    def objective(self, batch: SourceBatch, source: Output, target: Output) -> dict[str, Tensor]:
        parts = self.parts(batch, source)
        risks = self.risks(parts)
        weight = self.trade_off if self.annealed else min(1.0, self.trade_off)
        terms = {"task": risks.mean(), "penalty": weight * self.penalty(parts, risks), **self.added(batch, source, target)}
        if self.l2:
            terms["l2"] = self.l2 * sum((p.square().sum() for p in self.parameters()), risks.new_zeros(()))
        return {name: term / max(weight, 1.0) for name, term in terms.items()} if self.rescaled else terms
