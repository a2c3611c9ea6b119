"""Classifier discrepancy."""

from __future__ import annotations

from torch import Tensor

from tlda.nn.numerics import feature_pair


def classifier_discrepancy(first: Tensor, second: Tensor) -> Tensor:
    r"""The mean absolute difference of two classifiers' predictions (Saito et al., CVPR 2018, sec. 3.2).

    .. math:: \frac{1}{n c} \sum_{i,j} \left| p^{(1)}_{ij} - p^{(2)}_{ij} \right|

    Args:
        first: logits of one classifier, (n, c).
        second: logits of the other on the same rows, (n, c).

    Example:
        >>> first, second = torch.tensor([[99.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> round(classifier_discrepancy(first, second).item(), 4)
        0.5
    """
    first, second = feature_pair("classifier_discrepancy", first, second)
    return (first.softmax(1) - second.softmax(1)).abs().mean()
