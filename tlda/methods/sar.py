"""Sharpness-aware and reliable entropy minimisation."""

import math
from typing import Any

import torch
from torch import Tensor

from tlda.batch import Output
from tlda.losses.entropy import entropy_of
from tlda.methods.tent import TENT
from tlda.nn import affine_parameters


class SAR(TENT):
    r"""TENT on reliable rows, by the gradient at the worst near weights; it starts over where all is certain (Niu et al., ICLR 2023).

    .. math:: \min_\theta \max_{\lVert \epsilon \rVert \leq \rho} \; \frac{1}{m} \sum_i [H_i < E_0] \, H_i(\theta + \epsilon)

    Args:
        margin: the entropy below which a row is reliable, as a fraction of the greatest one.
        rho: the radius within which the weights are the worst; 0 for the weights as they are.
        floor: the moving average of the entropy below which all is forgotten.
        **kwargs: see :class:`TENT`.
    """

    def __init__(self, *, margin: float = 0.4, rho: float = 0.05, floor: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.margin, self.rho, self.floor = margin, rho, floor

    def step(self, x: Tensor, output: Output) -> None:
        network, optimizer, memory = self.adapted
        entropies, limit = entropy_of(output.logits.float().log_softmax(1)), self.margin * math.log(output.logits.shape[1])
        rows = (entropies < limit).nonzero()[:, 0]
        if not len(rows):
            return
        affine = affine_parameters(network)
        gradients = torch.autograd.grad(entropies[rows].mean(), affine)
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        moves = [self.rho / (norm + 1e-12) * gradient for gradient in gradients]
        shift(affine, moves, 1.0)
        second = entropy_of(network(x).logits.float().log_softmax(1))[rows]
        second = second[second < limit]
        if len(second):
            torch.autograd.backward(second.mean())
        shift(affine, moves, -1.0)
        if len(second):
            optimizer.step()
            mean = float(second.mean())
            memory["entropy"] = 0.9 * memory.get("entropy", mean) + 0.1 * mean
            if memory["entropy"] < self.floor:
                self.adapted = self.begin()


@torch.no_grad()
def shift(parameters: list[Any], moves: list[Tensor], sign: float) -> None:
    """Add ``sign`` times ``moves`` to ``parameters``."""
    for parameter, move in zip(parameters, moves, strict=True):
        parameter.add_(move, alpha=sign)
