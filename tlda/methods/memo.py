"""Marginal entropy minimisation with one image."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Output, Takes
from tlda.data.augment import Views, small_views
from tlda.losses.entropy import entropy_of
from tlda.methods.at_test import AtTest
from tlda.network import Network
from tlda.optim import SGD


class MEMO(AtTest):
    r"""Each image by itself: all weights make the mean prediction of its views certain, and start over (Zhang et al., NeurIPS 2022).

    .. math:: H \Big( \frac{1}{V} \sum_v p(y \mid a_v(x)) \Big)

    BatchNorm has the source's statistics.

    Args:
        adapt_lr: the learning rate of each step, by SGD without momentum.
        steps: the steps on an image.
        count: how many views.
        views: what makes a view, in order; a small affine map, brightness and contrast where none is given.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True
    takes: ClassVar[Takes] = "images"
    whole_inputs: ClassVar[str] = "answers each image by the mean of its views"

    def __init__(self, *, adapt_lr: float = 5e-3, steps: int = 1, count: int = 32, views: Views = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.adapt_lr, self.steps, self.count = adapt_lr, steps, count
        self.views = small_views(views)

    def begin(self) -> tuple[Network]:
        return (self.network.copied().requires_grad_(),)

    def adapt(self, x: Tensor) -> Output:
        outputs = [self.alone(image) for image in x[:, None]]
        return Output(*(torch.cat(part) for part in zip(*outputs, strict=True)))

    def alone(self, image: Tensor) -> Output:
        """The output for one image (1, c, h, w), after the steps on its views."""
        (network,) = self.adapted
        network.load_state_dict(self.network.state_dict())
        group = {"name": "network", "params": list(network.parameters()), "lr_multiplier": 1.0}
        optimizer = SGD(self.adapt_lr, weight_decay=0.0, momentum=0.0, nesterov=False)([group])
        for _ in range(self.steps):
            log_p = network(self.views(image.expand(self.count, -1, -1, -1))).logits.log_softmax(1)
            optimizer.zero_grad()
            torch.autograd.backward(entropy_of(log_p.logsumexp(0) - torch.tensor(float(self.count)).log()))
            optimizer.step()
        with torch.no_grad():
            output: Output = network(image)
        return output
