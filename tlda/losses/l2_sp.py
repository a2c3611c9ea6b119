"""Weight decay towards the pretrained weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from tlda.batch import Batch, Output
from tlda.losses.anchored import Anchored
from tlda.losses.weightings import Weighting
from tlda.nn.numerics import full_precision


def l2_sp(weights: Iterable[Tensor], start: Iterable[Tensor], new: Iterable[Tensor] = (), decay: float = 1.0) -> Tensor:
    r"""Half the squared distance of ``weights`` from where they started, and of ``new`` ones from zero (Li et al., ICML 2018).

    .. math:: \frac{1}{2} \lVert w - w^0 \rVert^2 + \frac{\beta}{2} \lVert w_{\mathrm{new}} \rVert^2

    Args:
        weights: tensors of any shapes.
        start: tensors of the same shapes, in the same order.
        new: the weights of layers that were not pretrained.
        decay: the weight of the part of ``new``; the paper's beta over alpha.

    Example:
        >>> weights, start = [torch.ones(3)], [torch.zeros(3)]
        >>> round(l2_sp(weights, start).item(), 4)
        1.5
    """
    moved = [full_precision(weight) - full_precision(origin) for weight, origin in zip(weights, start, strict=True)]
    terms = [0.5 * difference.square().sum() for difference in moved]
    terms += [0.5 * decay * full_precision(weight).square().sum() for weight in new]
    return torch.stack(terms).sum()


class L2SP(Anchored):
    """:func:`l2_sp` of the backbone, and of bottleneck and head as the new layers, without what weighs tasks.

    Args:
        trade_off: the weight of the term; the paper's alpha.
        decay: the weight of the new layers' part relative to the backbone's.
    """

    def __init__(self, trade_off: float = 0.01, decay: float = 1.0) -> None:
        super().__init__(trade_off)
        self.decay = decay

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        """The squared distance of the backbone from its start, plus the squared weights of bottleneck and head (not of weightings)."""
        (method,) = self.method
        layers = [
            layer
            for part in (method.network.bottleneck, method.network.head)
            for layer in part.modules()
            if not isinstance(layer, Weighting)
        ]
        new = [weight for layer in layers for weight in layer.parameters(recurse=False)]
        return l2_sp(self.backbone.parameters(), self.start.parameters(), new, self.decay)
