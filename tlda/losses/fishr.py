"""The variance of the head's gradients, domain by domain."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tlda.errors import UserError
from tlda.nn.numerics import full_precision


def gradient_variance(features: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    r"""The variance over rows of the gradient of a row's cross-entropy on each parameter of a linear head (Rame et al., ICML 2022, eq. 3).

    .. math:: \mathrm{Var}_i \left[(p_i - y_i) \otimes (f_i, 1)\right]

    The gradient of a row is ``(p - y) x (f, 1)``: the weights', then the bias's. No automatic differentiation per row is needed.

    Args:
        features: the head's inputs, (n, d).
        logits: its outputs, (n, c).
        labels: the classes, (n,); rows of -1 are left out.

    Returns:
        The biased variances, (c * (d + 1),).

    Raises:
        UserError: no row has a label.

    Example:
        >>> features, logits = torch.tensor([[1.0], [3.0]]), torch.zeros(2, 2)
        >>> gradient_variance(features, logits, torch.tensor([0, 0])).tolist()
        [0.25, 0.0, 0.25, 0.0]
    """
    known = labels >= 0
    if not bool(known.any()):
        raise UserError("gradient_variance needs a labelled row of each domain, got none; raise the batch size")
    features, logits, labels = full_precision(features[known]), full_precision(logits[known]), labels[known]
    inputs = torch.cat((features, features.new_ones(len(features), 1)), 1)
    errors = logits.softmax(1) - one_hot(labels, logits.shape[1])
    # Two products in place of n matrices: the mean of the squares of products, less the square of their mean.
    mean = errors.T @ inputs / len(inputs)
    return (errors.square().T @ inputs.square() / len(inputs) - mean.square()).flatten()


def variance_distance(variances: Sequence[Tensor]) -> Tensor:
    r"""The mean over domains of the squared distance of their variances (p,) from the mean of all (Rame et al., ICML 2022, eq. 4).

    .. math:: \frac{1}{k} \sum_e \lVert v_e - \bar{v} \rVert^2

    Raises:
        UserError: there are none.

    Example:
        >>> variance_distance([torch.tensor([1.0, 0.0]), torch.tensor([3.0, 0.0])]).item()
        1.0
    """
    if not variances:
        raise UserError("variance_distance takes the variances of at least one domain, got none")
    stacked = torch.stack(list(variances))
    return (stacked - stacked.mean(0)).square().sum(1).mean()
