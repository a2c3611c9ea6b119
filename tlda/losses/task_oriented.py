"""A domain adversary of what the task reads of the source's features (ToAlign)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from tlda.batch import Batch, Learner, Output, Pair
from tlda.errors import UserError
from tlda.losses.domain_adversarial import DomainAdversarial, domain_adversarial
from tlda.nn import reverse_gradient
from tlda.optim import ramp

TINY = 1e-12


def task_oriented(features: Tensor, weights: Tensor) -> Tensor:
    r"""Features (n, d) times the weights (n, d) of their classes in the head, as long as before (Wei et al., NeurIPS 2021, eq. 4).

    .. math:: f' = s \, (w_y \odot f), \quad s = \lVert f \rVert / \lVert w_y \odot f \rVert

    Example:
        >>> task_oriented(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]])).tolist()
        [[5.0, 0.0]]
    """
    read = features * weights.detach()
    return read * (features.square().sum(1, keepdim=True) / read.square().sum(1, keepdim=True).clamp_min(TINY)).sqrt()


class ToAlign(DomainAdversarial):
    """:class:`DomainAdversarial` that sees of a source row what its class reads, :func:`task_oriented`, and of a target row all."""

    reads_classes = True

    def attach(self, method: Learner) -> None:
        """Look at the head of ``method``, whose weights change.

        Raises:
            UserError: the head is not one layer.
        """
        if not isinstance(getattr(method.network.head, "weight", None), Tensor):
            raise UserError("ToAlign weighs features by the head's weight, and this head is not one layer: leave --model.head out")
        self.head: Callable[[], Any] = lambda: method.network.head

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        coefficient = self.trade_off * ramp(progress, self.gamma)
        read = task_oriented(source.features, self.head().weight[cast(Pair, batch).source.y])
        logits = self.critic(reverse_gradient(torch.cat((read, target.features)), coefficient)).float()
        first, second = logits.tensor_split([len(read)])
        return domain_adversarial(first, second)
