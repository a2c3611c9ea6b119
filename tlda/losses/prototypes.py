"""Classes as the means of their examples."""

from __future__ import annotations

from torch import Tensor

from tlda.nn.numerics import feature_pair, without_autocast


@without_autocast
def prototype_logits(query: Tensor, prototypes: Tensor) -> Tensor:
    r"""The negative squared distance of each query to each class's prototype, as logits (Snell et al., NeurIPS 2017, eq. 2).

    .. math:: o_{ij} = -\lVert f_i - \mu_j \rVert^2

    Args:
        query: the features to classify, (n, d).
        prototypes: the mean feature of each class, (c, d).

    Returns:
        (n, c).

    Raises:
        UserError: the widths differ.

    Example:
        >>> prototype_logits(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 4.0]])).tolist()
        [[-1.0, -10.0]]
    """
    query, prototypes = feature_pair("prototype_logits", query, prototypes)
    return -(query[:, None] - prototypes).square().sum(2)
