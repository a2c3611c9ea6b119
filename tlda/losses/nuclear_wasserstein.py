"""The nuclear-norm Wasserstein discrepancy, whose critic is the classifier (DALN)."""

from __future__ import annotations

import torch
from torch import Tensor

from tlda.nn.numerics import log_probabilities


def nuclear_wasserstein(source: Tensor, target: Tensor) -> Tensor:
    r"""The nuclear norm of the source's predictions per row, less that of the target's (Chen et al., CVPR 2022, eq. 6).

    .. math:: \frac{1}{n} \lVert P_s \rVert_* - \frac{1}{m} \lVert P_t \rVert_*

    The classifier makes it large, the features small.

    Args:
        source: logits, (n, c).
        target: logits, (m, c).

    Example:
        >>> certain, unsure = torch.tensor([[99.0, 0.0], [0.0, 99.0]]), torch.zeros(2, 2)
        >>> round(nuclear_wasserstein(certain, unsure).item(), 4)
        0.5
    """
    return _per_row(source) - _per_row(target)


def _per_row(logits: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.matrix_norm(log_probabilities(logits).exp(), "nuc")
    return norm / len(logits)
