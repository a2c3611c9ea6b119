"""Fine-tuning that keeps the behaviour of the pretrained network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tlda.batch import Batch, Learner, Output
from tlda.losses.anchored import Anchored
from tlda.nn.numerics import full_precision


def delta(maps: Sequence[Tensor], start: Sequence[Tensor]) -> Tensor:
    r"""Half the squared distance per row of feature maps from those of the start network (DELTA; Li et al., ICLR 2019).

    .. math:: \sum_l \frac{1}{2 n m_l} \sum_i \lVert F_l(x_i) - F_l^0(x_i) \rVert^2

    The mean over the rows and over the positions of a map, the sum over its channels and over the maps. All channels count alike:
    it is the paper's variant without attention.

    Args:
        maps: features (n, d), images (n, channels, h, w) or tokens (n, positions, d) of the network that learns, a layer each.
        start: those of the network that it started from.

    Example:
        >>> maps, start = [torch.ones(2, 3)], [torch.zeros(2, 3)]
        >>> round(delta(maps, start).item(), 4)
        1.5
    """
    terms = []
    for now, before in zip(maps, start, strict=True):
        difference = full_precision(now) - full_precision(before)
        places = difference.shape[1] if difference.ndim == 3 else difference.shape[2:].numel()
        terms.append(0.5 * difference.square().sum() / (len(difference) * places))
    return torch.stack(terms).sum()


class Watched:
    """The last input of a network, and what the last layer of each of its blocks made of it.

    Args:
        network: a :class:`tlda.backbones.Backbone`.
        learns: whether to look at calls with gradients, or at those without.
    """

    def __init__(self, network: Any, learns: bool) -> None:
        self.seen: Tensor | None = None
        self.maps: dict[int, Tensor] = {}
        self.learns = learns
        network.register_forward_pre_hook(self._begin)
        for i, block in enumerate(network.blocks()):
            last = list(block.children())[-1] if isinstance(block, nn.ModuleList) else block
            last.register_forward_hook(partial(self._keep, i))

    def _begin(self, network: nn.Module, inputs: tuple[Tensor]) -> None:
        if torch.is_grad_enabled() is self.learns:
            self.seen, self.maps = inputs[0], {}

    def _keep(self, block: int, layer: nn.Module, inputs: Any, output: Any) -> None:
        if torch.is_grad_enabled() is self.learns:
            # An encoder layer of transformers may give a tuple, whose first are the hidden states.
            self.maps[block] = output[0] if isinstance(output, tuple) else output

    def take(self) -> tuple[Tensor, dict[int, Tensor]]:
        """Both, forgotten: they hold the graph of a step."""
        assert self.seen is not None
        taken = self.seen, self.maps
        self.seen, self.maps = None, {}
        return taken


class DELTA(Anchored):
    """:func:`delta` of all blocks of the backbone, on the images that it saw last: both domains', where it sees them as one batch.

    Args:
        trade_off: the weight of the term; 0.5 is the authors' 0.01 on the sum over a batch of 48 for their form with attention, which is
            a mean over positions too. Their form without sums over positions, so that its 0.01 is more by their number.
    """

    mixed_precision: ClassVar[bool] = True

    def __init__(self, trade_off: float = 0.5) -> None:
        super().__init__(trade_off)

    def attach(self, method: Learner) -> None:
        super().attach(method)
        self.before, self.now = Watched(self.start.copy[0], learns=False), Watched(method.network.backbone, learns=True)

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        x, maps = self.now.take()
        with torch.no_grad():
            self.start(x)
        _, start = self.before.take()
        return delta([maps[block] for block in start], list(start.values()))
