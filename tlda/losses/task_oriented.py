"""Adversarial alignment of what decides the class (ToAlign)."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from tlda.batch import Batch, Learner, Output, Pair
from tlda.losses.domain_adversarial import DomainAdversarial


def relevant_features(features: Tensor, weights: Tensor) -> Tensor:
    r"""The features (n, d) times ``weights`` (n, d), scaled so that each row is as long as before (Wei et al., NeurIPS 2021, eq. 4-5).

    .. math:: f^+ = s \, w \odot f, \quad s = \lVert f \rVert / \lVert w \odot f \rVert

    Args:
        features: of the source.
        weights: how much each feature raises the logit of the row's label; under a linear head, that class's weights.

    Example:
        >>> relevant_features(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]]))
        tensor([[0., 5.]])
    """
    weighed = weights * features
    length = features.norm(dim=1, keepdim=True)
    # A row none of whose features speaks for its label has none left; the floor keeps its gradient finite.
    floor = 1e-6 * length.detach() + torch.finfo(features.dtype).tiny
    scale: Tensor = length / weighed.norm(dim=1, keepdim=True).maximum(floor)
    return weighed * scale


def influence(head: nn.Module, features: Tensor, labels: Tensor) -> Tensor:
    """The gradient (n, d) of each row's logit of its label in its features, as a constant (Grad-CAM's weights)."""
    with torch.enable_grad():
        seen = features.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(head(seen).gather(1, labels[:, None]).sum(), seen)
    return gradient


class TaskOriented(DomainAdversarial):
    """DANN on predictions; those of the source are made of what speaks for the label (:func:`relevant_features`; the same, DANNP)."""

    reads_classes: ClassVar[bool] = True
    made_for_classes: ClassVar[bool] = True

    def attach(self, method: Learner) -> None:
        self.method = (method,)  # in a tuple, which keeps it out of the loss's parameters

    def build(self, num_features: int, num_classes: int) -> None:
        super().build(num_classes, num_classes)

    def critic_inputs(self, batch: Batch, source: Output, target: Output) -> Tensor:
        head = self.method[0].network.head
        relevant = relevant_features(source.features, influence(head, source.features, cast(Pair, batch).source.y))
        return torch.cat((head(relevant), target.logits)).softmax(1)
