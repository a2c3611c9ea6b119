"""The entropy of the wrong classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tlda.nn.numerics import log_probabilities


def complement_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Minus the entropy of each row's predictions among the classes that it is not of, weighed by its doubt (Liang et al., ECCV 2020).

    .. math:: \frac{\sum_i w_i (1 - p_{i y_i}) \sum_{c \ne y_i} \hat p_{ic} \log \hat p_{ic}}{\log(C - 1) \sum_i w_i (1 - p_{i y_i})},
        \quad \hat p_{ic} = \frac{p_{ic}}{1 - p_{i y_i}}

    It is between -1, where the wrong classes are alike, and 0. The weights carry no gradient. With two classes it is 0.

    Args:
        logits: (n, c).
        labels: (n,).
        weights: of each row, (n,); 1 by default.

    Example:
        >>> round(complement_entropy(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])).item(), 4)
        -1.0
    """
    count = logits.shape[1]
    log_p = log_probabilities(logits)
    own = one_hot(labels, count).bool()
    others = log_p.masked_fill(own, -torch.inf)
    conditional = others.log_softmax(1)
    terms = (conditional.exp() * conditional.masked_fill(own, 0.0)).sum(1)
    unsure = 1 - log_p[own].exp().detach()
    share = unsure if weights is None else unsure * weights
    return (share * terms).sum() / (math.log(max(count - 1, 2)) * share.sum().clamp_min(1e-12))
