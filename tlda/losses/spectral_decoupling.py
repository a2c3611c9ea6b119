"""Spectral decoupling."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from tlda.batch import Batch, Output
from tlda.losses.base import Loss
from tlda.nn.numerics import full_precision


def spectral_decoupling(logits: Tensor) -> Tensor:
    r"""The mean of the squared logits (SD; Pezeshki et al., NeurIPS 2021, eq. 12), (n, c) to a scalar, as in DomainBed.

    .. math:: \frac{1}{n c} \sum_{i,j} o_{ij}^2

    Example:
        >>> spectral_decoupling(torch.tensor([[1.0, -1.0], [3.0, 1.0]])).item()
        3.0
    """
    return full_precision(logits).square().mean()


class SD(Loss):
    """:func:`spectral_decoupling` of the source's logits, so that no feature starves the others of gradient.

    Args:
        trade_off: the weight of the term.
    """

    reads_classes: ClassVar[bool] = True
    sees_target: ClassVar[bool] = False

    def __init__(self, trade_off: float = 0.1) -> None:
        super().__init__(trade_off)

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return spectral_decoupling(source.logits)
