"""A penalty that keeps a policy near the one that it started from."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from tlda.batch import Learner, Output, SourceBatch
from tlda.errors import UserError
from tlda.losses import Loss
from tlda.nn import Snapshot
from tlda.tasks import Control


def kl_divergence(logits: Tensor, start: Tensor) -> Tensor:
    """The mean divergence of a policy from the one at the start, in nats; the equation is that of :class:`PolicyDivergence`.

    Args:
        logits: of the policy that learns, (n, actions).
        start: of the one at the start, (n, actions).

    Example:
        >>> import torch
        >>> kl_divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
        tensor(0.)
    """
    own, other = logits.log_softmax(1), start.log_softmax(1)
    return (own.exp() * (own - other)).sum(1).mean()


class PolicyDivergence(Loss):
    r"""The divergence of a policy's actions from those of the policy that the fit began with.

    .. math:: \frac{1}{n} \sum_i \sum_a \pi(a \mid s_i) \left(\log \pi(a \mid s_i) - \log \pi_0(a \mid s_i)\right)

    The copy is in checkpoints, so that a run that goes on is held by the same one.
    """

    sees_target: ClassVar[bool] = False

    def attach(self, method: Learner) -> None:
        if not isinstance(method.network.task, Control):
            raise UserError("the loss PolicyDivergence compares policies: leave it out of --model.plus, or take --model Policy")
        self.start = Snapshot(method.network.backbone, method.network.bottleneck, method.network.head)

    def begin(self, method: Learner) -> None:
        if not self.start.taken:
            self.start.take(method.network.backbone, method.network.bottleneck, method.network.head)

    def forward(self, batch: SourceBatch, source: Output, target: Output, progress: float) -> Tensor:
        return kl_divergence(source.logits, self.start(batch.source.x).float())
