"""Adversarial alignment of maps of entropies (ADVENT)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from tlda.batch import Output, Pair
from tlda.inputs import as_maps
from tlda.losses.base import Loss
from tlda.nn import convolutions_in_float32, without_gradients
from tlda.nn.numerics import log_probabilities


def self_information(logits: Tensor) -> Tensor:
    r"""The weighted self-information of each class, whose sum is the entropy over log(c), 0 to 1 (Vu et al., CVPR 2019).

    .. math:: I_c = -\frac{p_c \log p_c}{\log C}

    Args:
        logits: (n, c, …), with classes in the second dimension.

    Example:
        >>> self_information(torch.zeros(1, 4)).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """
    log_p = log_probabilities(logits)
    return -(log_p.exp() * log_p) / math.log(logits.shape[1])


def map_discriminator(channels: int, width: int = 64, layers: int = 4) -> nn.Sequential:
    """A domain discriminator of maps: convolutions of stride 2, (n, ``channels``, h, w) to a logit per patch.

    As that of ADVENT's authors (DCGAN's), with kernels of 3 in place of 4, so that maps may be as small as they like.
    """
    widths = [channels, *(width * 2**number for number in range(layers))]
    parts: list[nn.Module] = []
    for ins, outs in pairwise(widths):
        parts += [nn.Conv2d(ins, outs, 3, 2, 1), nn.LeakyReLU(0.2)]
    network = nn.Sequential(*parts, nn.Conv2d(widths[-1], 1, 1))
    convolutions_in_float32(network)
    return network


def of_domain(logits: Tensor, label: float) -> Tensor:
    """The domain discriminator's binary cross-entropy on maps of one domain: 1 is the source."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


class EntropyMaps(Loss):
    r"""Train a domain discriminator of maps of :func:`self_information`, for which the target's are to pass as the source's (ADVENT).

    .. math:: \frac{1}{2} \left(L(D(I_s), 1) + L(D(I_t), 0)\right) + \lambda L(D(I_t), 1)

    The first two terms train the discriminator D alone, the last one the network alone, as eq. 10 and 11 of Vu et al. (CVPR 2019) do in
    turn. An answer per image is a map of one position.

    Args:
        trade_off: the weight of the last term.
        width: the width of the discriminator's first layer, which each next one doubles.
        layers: the number of its layers, each of which halves the map.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True
    mixed_precision: ClassVar[bool] = True
    compares_domains: ClassVar[bool] = True
    made_for_classes: ClassVar[bool] = True

    def __init__(self, trade_off: float = 0.001, width: int = 64, layers: int = 4) -> None:
        super().__init__(trade_off)
        self.width, self.layers = width, layers

    def build(self, num_features: int, num_classes: int) -> None:
        self.discriminator: nn.Module = map_discriminator(num_classes, self.width, self.layers)

    def forward(self, batch: Pair, source: Output, target: Output, progress: float) -> Tensor:
        ours = self_information(as_maps(source.logits.float(), batch.source.x))
        theirs = self_information(as_maps(target.logits.float(), batch.target.x))
        apart = 0.5 * (of_domain(self.discriminator(ours.detach()), 1.0) + of_domain(self.discriminator(theirs.detach()), 0.0))
        with without_gradients(self.discriminator):
            hidden = of_domain(self.discriminator(theirs), 1.0)
        return apart + self.trade_off * hidden

    def weigh(self, loss: Tensor) -> Tensor:
        return loss
