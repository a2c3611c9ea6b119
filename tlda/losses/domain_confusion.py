"""Domain confusion."""

from __future__ import annotations

import torch
from torch import Tensor

from tlda.losses.numerics import log_probabilities


def domain_confusion(logits: Tensor) -> Tensor:
    """The cross-entropy of the critic's prediction to a uniform one, least where it cannot tell (Tzeng et al., ICCV 2015, eq. 4).

    Args:
        logits: the critic's logits of each domain, (n, domains), or of one of two, (n,) or (n, 1).
    """
    if logits.ndim == 1 or logits.shape[1] == 1:
        logits = torch.stack((logits.flatten(), torch.zeros_like(logits.flatten())), 1)
    return -log_probabilities(logits).mean()
