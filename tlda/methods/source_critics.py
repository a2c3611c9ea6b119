"""The base class of methods with a discriminator per source domain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, cast

import torch
from torch import Tensor, nn

from tlda.batch import Output, Pair
from tlda.losses import domain_adversarial
from tlda.methods.several_sources import SeveralSources
from tlda.nn import critic, reverse_gradient
from tlda.optim import ramp


class SourceCritics(SeveralSources, ABC):
    """The base of methods that weigh source domains by their risk and by how well a discriminator tells them from the target.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the hidden layers of each source's discriminator.
    """

    def __init__(self, *, trade_off: float = 1.0, hidden: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off, self.own["critics"] = trade_off, nn.ModuleList(critic(self.num_features, hidden) for _ in self.task.sources)

    @property
    def batch_type(self) -> type:
        return Pair

    @abstractmethod
    def weights(self, losses: Tensor) -> Tensor:
        """The weight of each source domain, (k,) with the sum 1, by its risk and divergence ``losses`` (k,)."""

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        parts, reversal = self.parts(batch, source), self.trade_off * ramp(self.progress)
        all_critics = cast(nn.ModuleList, self.own["critics"])
        risks, critics = self.risks(parts), [all_critics[part.number] for part in parts]
        pairs = [(critic, part.output.features, target.features) for critic, part in zip(critics, parts, strict=True)]
        with torch.no_grad():
            told = torch.stack([domain_adversarial(critic(one), critic(other)) for critic, one, other in pairs])
            weights = self.weights(risks - reversal * told)
        # The discriminators learn all the same; only what the features have against them is weighted.
        fooled = [self.fooled(*pair, reversal * weight) for pair, weight in zip(pairs, weights.tolist(), strict=True)]
        domain = torch.stack(fooled).sum()
        return {"task": (weights * risks).sum(), "domain": domain, **self.added(batch, source, target)}

    @staticmethod
    def fooled(critic: nn.Module, source: Tensor, target: Tensor, reversal: float) -> Tensor:
        """The loss of a discriminator, whose gradient is reversed and scaled on features (n, d) and (m, d)."""
        return domain_adversarial(*(critic(reverse_gradient(x, reversal)).float() for x in (source, target)))
