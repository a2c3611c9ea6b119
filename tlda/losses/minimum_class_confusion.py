"""Minimum class confusion."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from tlda.batch import Batch, Output
from tlda.losses.base import Loss
from tlda.losses.entropy import entropy_of
from tlda.nn.numerics import full_precision, log_probabilities

TINY = 1e-12


def minimum_class_confusion(logits: Tensor, temperature: float = 2.5) -> Tensor:
    r"""The confusion of pairs of classes within predictions, weighted by certainty (Jin et al., ECCV 2020, sec. 3).

    .. math::
        \frac{1}{c} \sum_j \sum_{k \ne j} \frac{C_{jk}}{\sum_l C_{jl}}, \quad C = P^\top \mathrm{diag}(w) P, \quad w_i \propto 1 +
        e^{-H(p_i)}

    Args:
        logits: (n, c).
        temperature: divides the logits.

    Example:
        >>> logits = torch.zeros(4, 2)
        >>> round(minimum_class_confusion(logits).item(), 4)
        0.5
    """
    log_p = log_probabilities(full_precision(logits) / temperature)
    # The weights carry no gradient, as in the authors' code: they say which examples count, they are not to be trained.
    weights = 1.0 + (-entropy_of(log_p.detach())).exp()
    p = log_p.exp()
    correlation = (p * (len(p) * weights / weights.sum())[:, None]).T @ p
    # A class that nobody predicts has an empty row; it adds nothing instead of 0 / 0.
    confusion = correlation / correlation.sum(1, keepdim=True).clamp_min(TINY)
    return (confusion.sum() - torch.trace(confusion)) / len(confusion)


class MCC(Loss):
    """:func:`minimum_class_confusion` of the predictions on the target.

    Args:
        trade_off: the weight of the term.
        temperature: divides the logits.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, trade_off: float = 1.0, temperature: float = 2.5) -> None:
        super().__init__(trade_off)
        self.temperature = temperature

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return minimum_class_confusion(target.logits, self.temperature)
