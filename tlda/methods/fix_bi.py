"""Bridging domains by fixed mixtures."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from tlda.batch import Output, Pair
from tlda.losses import certain_labels, self_penalization
from tlda.methods.two_networks import TwoNetworks
from tlda.network import Network


class FixBi(TwoNetworks):
    """Two networks learn mixtures of domains, one mostly source, one mostly target, then each the other's labels (Na et al., CVPR 2021).

    The answer is the mean of their probabilities. Both start from one network; the authors' is DANN's, by ``init_from`` or ``plus``.

    Args:
        warm_up: the fraction of the rest in which each penalises what it is not certain of, before they match; the paper's is a half.
        share: the source's share in the mixtures of one network, and the target's in those of the other.
        deviations: how many standard deviations below the batch's mean the certainty of a label may be.
    """

    def __init__(self, *, warm_up: float = 0.5, share: float = 0.7, deviations: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.warm_up, self.share, self.deviations = warm_up, share, deviations
        self.temperatures = nn.Parameter(torch.full((2,), 5.0))

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [*super().parameter_groups(), {"name": "temperatures", "params": [self.temperatures], "lr_multiplier": 1.0}]

    def mixed(self, network: Network, batch: Pair, share: float) -> Tensor:
        """The logits (n, c) that ``network`` gives of mixtures whose ``share`` is of the source."""
        logits: Tensor = network(share * batch.source.x + (1 - share) * batch.target.x).logits
        return logits.float()

    def mixture(self, network: Network, batch: Pair, share: float, labels: Tensor) -> Tensor:
        """The loss of ``network`` on mixtures: to the source's labels by their ``share``, to the target's ``labels`` (n,) by the rest."""
        logits = self.mixed(network, batch, share)
        own, other = (self.task.loss(network.with_labels(logits, y), y) for y in (batch.source.y, labels))
        return share * own + (1 - share) * other

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        first, second = target.logits.float(), self.second(batch.target.x).logits.float()
        (own, sure), (other, other_sure) = (certain_labels(logits, self.deviations) for logits in (first, second))
        mixtures = self.mixture(self.network, batch, self.share, own), self.mixture(self.second, batch, 1 - self.share, other)
        terms = {**self.added(batch, source, target), "mixed": mixtures[0] + mixtures[1]}
        if self.progress < self.pretrain + self.warm_up * (1 - self.pretrain):
            one, two = self.temperatures
            penalties = self_penalization(first[~sure], own[~sure], one), self_penalization(second[~other_sure], other[~other_sure], two)
            return {**terms, "penalty": penalties[0] + penalties[1]}
        matching = cross_entropy(first[other_sure], other[other_sure]) + cross_entropy(second[sure], own[sure])
        halves = self.mixed(self.network, batch, 0.5), self.mixed(self.second, batch, 0.5)
        return {**terms, "matching": matching, "consistency": mse_loss(halves[0], halves[1])}
