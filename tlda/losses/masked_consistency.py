"""Consistency of a target image with patches covered (MIC)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from tlda.batch import Learner, Output, Pair
from tlda.errors import UserError
from tlda.losses.base import Loss
from tlda.nn import MovingAverage
from tlda.nn.averages import begins_step


def masked_consistency(logits: Tensor, teacher: Tensor) -> Tensor:
    r"""The cross-entropy of covered images with a teacher's answers to the whole ones, each weighed by how sure it is.

    .. math:: \frac{1}{m} \sum_i q_i \left(-\log p_{\hat y_i}(\tilde x_i)\right), \quad q_i = \max_c t_c(x_i)

    Args:
        logits: of the covered images, (m, c).
        teacher: logits of the whole images, (m, c), which carry no gradient.

    Example:
        >>> sure = torch.tensor([[99.0, 0.0]])
        >>> round(masked_consistency(torch.zeros(1, 2), sure).item(), 4)
        0.6931
    """
    quality, labels = teacher.detach().softmax(1).max(1)
    return (quality * cross_entropy(logits, labels, reduction="none")).mean()


def covered(x: Tensor, ratio: float, patch: float) -> Tensor:
    """Images (n, c, h, w) of which each patch is black with the probability ``ratio``; ``patch`` is its side over the image's."""
    rows, columns = (-(-length // max(1, round(patch * length))) for length in x.shape[2:])
    kept = (torch.rand(len(x), 1, rows, columns, device=x.device) >= ratio).to(x.dtype)
    return x * interpolate(kept, x.shape[2:], mode="nearest")


class MIC(Loss):
    """:func:`masked_consistency` of the target's images, under any method of images (Hoyer et al., CVPR 2023).

    The teacher is the moving average of the network, and is in the checkpoint.

    Args:
        trade_off: the weight of the term.
        ratio: the probability of a patch to be covered; the authors' for classification is 0.7.
        patch: the side of a patch over that of the image; theirs is 64 of 224 pixels.
        momentum: how much of the teacher a step leaves; theirs is 0.9.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True
    mixed_precision: ClassVar[bool] = True
    begun: Tensor

    def __init__(self, trade_off: float = 1.0, ratio: float = 0.7, patch: float = 64 / 224, momentum: float = 0.9) -> None:
        super().__init__(trade_off)
        if not (0 < ratio < 1 and 0 < patch <= 1):
            raise UserError(f"MIC(ratio={ratio}, patch={patch}): ratio is between 0 and 1, patch above 0 and at most 1")
        self.ratio, self.patch, self.momentum = ratio, patch, momentum

    def attach(self, method: Learner) -> None:
        self.teacher = MovingAverage(method.network.backbone, method.network.bottleneck, method.network.head)
        self.register_buffer("begun", torch.tensor(False))
        self.method = (method,)  # in a tuple, which keeps it out of the loss's parameters

    def forward(self, batch: Pair, source: Output, target: Output, progress: float) -> Tensor:
        x, network = batch.target.x, self.method[0].network
        if not isinstance(x, Tensor) or x.ndim != 4:
            raise UserError("MIC covers patches of images (n, c, h, w), and the inputs are others: leave it out of --model.plus")
        parts = network.backbone, network.bottleneck, network.head
        if not self.begun:
            self.teacher.become(*parts)
            self.begun.fill_(True)
        elif begins_step(self.method[0].trainer):
            self.teacher.follow(self.momentum, *parts)
        return masked_consistency(network(covered(x, self.ratio, self.patch)).logits.float(), self.teacher(x).float())
