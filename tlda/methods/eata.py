"""Efficient test-time adaptation without forgetting."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import cosine_similarity, cross_entropy

from tlda.losses.entropy import entropy_of
from tlda.methods.tent import TENT
from tlda.network import Network
from tlda.nn import affine_parameters
from tlda.training.target import source_images


class EATA(TENT):
    r"""TENT on reliable rows that are unlike the mean prediction, each by its certainty; without ``fisher`` ETA (Niu et al., ICML 2022).

    .. math:: \sum_i [H_i < E_0] [\cos(p_i, \bar{p}) < d] \, e^{E_0 - H_i} H_i + \lambda \sum_k F_k (\theta_k - \theta_k^s)^2

    Args:
        margin: the entropy below which a row is reliable, as a fraction of the greatest one.
        redundant: the cosine of a row's prediction and the mean one above which it is left out; the authors' code has 0.4 for CIFAR.
        fisher: the weight of the squared change of scales and shifts; 2000 in the authors' ImageNet; 0 for none.
        rows: how many training images of the source say what matters to its predictions.
    """

    def __init__(self, *, margin: float = 0.4, redundant: float = 0.05, fisher: float = 0.0, rows: int = 2000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.margin, self.redundant, self.fisher, self.rows = margin, redundant, fisher, rows

    def begin(self) -> tuple[Any, ...]:
        network, optimizer, memory = super().begin()
        if self.fisher:
            affine = affine_parameters(network)
            squares = [[g.square() for g in self.gradients(network, affine, x)] for x in source_images(self, self.rows)]
            memory["anchor"] = [(p, p.detach().clone(), sum(g) / len(g)) for p, *g in zip(affine, *squares, strict=True)]
        return network, optimizer, memory

    def gradients(self, network: Network, affine: list[Parameter], x: Tensor) -> Sequence[Tensor]:
        """The gradients of the cross-entropy to the network's own answers."""
        logits = network(x).logits
        return torch.autograd.grad(cross_entropy(logits, logits.argmax(1)), affine)

    def loss(self, logits: Tensor) -> Tensor:
        memory, log_p = self.adapted[2], logits.float().log_softmax(1)
        entropies, limit = entropy_of(log_p), self.margin * math.log(log_p.shape[1])
        keep, p = entropies.detach() < limit, log_p.detach().exp()
        if "mean" in memory:
            keep &= cosine_similarity(memory["mean"][None], p, dim=1).abs() < self.redundant
        if bool(keep.any()):
            new = p[keep].mean(0)
            memory["mean"] = memory["mean"].lerp(new, 0.1) if "mean" in memory else new
        weights = (limit - entropies.detach()).clamp_max(20.0).exp()
        change = sum(((p - first).square() * fisher).sum() for p, first, fisher in memory.get("anchor", ()))
        loss: Tensor = (weights * entropies)[keep].sum() / keep.sum().clamp_min(1) + self.fisher * change
        return loss
