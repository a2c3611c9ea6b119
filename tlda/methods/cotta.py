"""Continual test-time adaptation by an average of the weights and of views."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Output, Takes
from tlda.data.augment import Views, small_views
from tlda.methods.at_test import AtTest
from tlda.nn import use_batch_statistics
from tlda.optim import Adam


class CoTTA(AtTest):
    r"""All weights follow the answers of their moving average, and a few of them start over (Wang et al., CVPR 2022).

    .. math:: -\sum_c p'_c \log p_c, \quad \theta' \leftarrow m \theta' + (1 - m) \theta

    Where the source's network is unsure of a batch, the average answers by the mean of views of it.
    Args:
        adapt_lr: the learning rate of the step on each batch, by Adam.
        momentum: how much of the average stays.
        restore: the fraction of the weights that go back to the source's after each step.
        threshold: the mean confidence of the source's network below which views are averaged; 0.92 for CIFAR-10.
        count: how many views.
        views: what makes a view, in order; a small affine map, brightness and contrast where none is given.
    """

    reads_classes, trains_on_certainty = True, True
    takes: ClassVar[Takes] = "images"

    def __init__(
        self, *, adapt_lr: float = 1e-3, momentum: float = 0.999, restore: float = 0.01, threshold: float = 0.92, count: int = 32,
        views: Views = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.adapt_lr, self.momentum, self.restore, self.threshold, self.count = adapt_lr, momentum, restore, threshold, count
        self.own_statistics = True
        self.views = small_views(views)

    def begin(self) -> tuple[Any, ...]:
        student, teacher, source = (use_batch_statistics(self.network.copied()) for _ in range(3))
        group = {"name": "network", "params": [p.requires_grad_() for p in student.parameters()], "lr_multiplier": 1.0}
        return student, teacher, source, Adam(self.adapt_lr)([group])

    def adapt(self, x: Tensor) -> Output:
        student, teacher, source, optimizer = self.adapted
        with torch.no_grad():
            features, logits = teacher(x)
            if source(x).logits.softmax(1).amax(1).mean() < self.threshold:
                logits = torch.stack([teacher(self.views(x)).logits for _ in range(self.count)]).mean(0)
        optimizer.zero_grad()
        torch.autograd.backward(-(logits.softmax(1) * student(x).logits.log_softmax(1)).sum(1).mean())
        optimizer.step()
        with torch.no_grad():
            for own, mean, first in zip(*(net.parameters() for net in (student, teacher, source)), strict=True):
                mean.lerp_(own, 1 - self.momentum)
                own.copy_(first.where(torch.rand_like(first) < self.restore, own))
        return Output(features, logits)
