"""Joint maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tlda.batch import Batch, Output
from tlda.errors import UserError
from tlda.losses.base import Loss
from tlda.losses.mmd import MULTIPLIERS, Bandwidth, discrepancy, gaussian_kernel
from tlda.nn.numerics import feature_pair
from tlda.optim import ramp

Layers = Sequence[Tensor]


def joint_mmd(
    source_layers: Layers,
    target_layers: Layers,
    multipliers: Sequence[Sequence[float]] = (MULTIPLIERS, (1.0,)),
    bandwidths: Sequence[Bandwidth] = ("median", "median"),
    biased: bool = True,
) -> Tensor:
    r"""The squared MMD of the joint distribution of several layers, whose kernels are multiplied (Long et al., ICML 2017, sec. 4.1).

    .. math::
        \left\lVert \mathrm{E}_s\left[\otimes_l \phi_l\right] - \mathrm{E}_t\left[\otimes_l \phi_l\right] \right\rVert^2, \quad k(x, y) =
        \prod_l k_l(x_l, y_l)

    Args:
        source_layers: of each layer (n, d_l); in the paper the features and the predictions, after the softmax.
        target_layers: of each layer (m, d_l).
        multipliers: of each layer, those of its bandwidth; their kernels are summed. As in the authors' code, several
            for the features and one for the predictions.
        bandwidths: of each layer a number, or ``median`` (the paper) or ``mean`` of the squared distances; the authors'
            code has ``("mean", 1.68)``.
        biased: never negative; otherwise 0 in expectation for one distribution.

    Raises:
        UserError: the numbers of layers, multipliers and bandwidths differ, or widths or rows do not fit.

    Example:
        >>> features, predictions = torch.tensor([[0.0], [1.0], [3.0]]), torch.full((3, 2), 0.5)
        >>> round(joint_mmd([features, predictions], [features + 1.0, predictions], bandwidths=(1.0, 1.0)).item(), 4)
        1.3965
    """
    counts = [len(part) for part in (source_layers, target_layers, multipliers, bandwidths)]
    if len(set(counts)) > 1:
        raise UserError(f"joint_mmd needs as many multipliers and bandwidths as layers, of source and target; got {counts}")
    kernels = []
    for source, target, multiplier, bandwidth in zip(source_layers, target_layers, multipliers, bandwidths, strict=True):
        rows = torch.cat(feature_pair("joint_mmd", source, target, least=1 if biased else 2))
        kernels.append(gaussian_kernel(rows, multiplier, bandwidth))
    return discrepancy(torch.stack(kernels).prod(0), len(source_layers[0]), biased)


class JointMMD(Loss):
    """:func:`joint_mmd` of features and predictions, ramped up over the run as in the paper (sec. 5.1).

    Args:
        trade_off: the weight of the term at full ramp.
        multipliers: of the bandwidths of features and predictions.
        bandwidths: of features and predictions: a number, ``median`` or ``mean``.
        biased: never negative; otherwise 0 in expectation for one distribution.
        gamma: the steepness of the ramp.
    """

    reads_classes: ClassVar[bool] = True
    compares_domains: ClassVar[bool] = True
    compares_pairs: ClassVar[bool] = True

    def __init__(
        self,
        trade_off: float = 1.0,
        multipliers: Sequence[Sequence[float]] = (MULTIPLIERS, (1.0,)),
        bandwidths: Sequence[Bandwidth] = ("median", "median"),
        biased: bool = True,
        gamma: float = 10.0,
    ) -> None:
        super().__init__(trade_off)
        self.multipliers, self.bandwidths, self.biased, self.gamma = multipliers, bandwidths, biased, gamma

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        layers, target_layers = ((output.features, output.logits.softmax(1)) for output in (source, target))
        return ramp(progress, self.gamma) * joint_mmd(layers, target_layers, self.multipliers, self.bandwidths, self.biased)
