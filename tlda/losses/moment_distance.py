"""The distance of the moments of several domains."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from tlda.errors import UserError
from tlda.nn.numerics import feature_pair


def moment_distance(domains: Sequence[Tensor], moments: int = 2) -> Tensor:
    r"""The mean over pairs of domains of the distances of their moments, summed over orders (M3SDA; Peng et al., ICCV 2019, eq. 1).

    .. math:: \frac{1}{|\mathcal{P}|} \sum_{(a, b) \in \mathcal{P}} \sum_{q=1}^{Q} \lVert \mu_q(a) - \mu_q(b) \rVert

    The first moment is the mean; those above are about the mean, as in the authors' code. A distance is Euclidean, and not squared.

    Args:
        domains: the features of each domain, (n_i, d); two domains at least.
        moments: the highest order.

    Raises:
        UserError: fewer than two domains, or features of different widths.

    Example:
        >>> domains = [torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [5.0]])]
        >>> moment_distance(domains).item()
        3.0
    """
    if len(domains) < 2:
        raise UserError(f"moment_distance compares two domains or more, got {len(domains)}: name several sources, or add a target")
    return torch.stack([_distance(*feature_pair("moment_distance", *pair), moments) for pair in combinations(domains, 2)]).mean()


def _distance(first: Tensor, second: Tensor, moments: int) -> Tensor:
    means = first.mean(0), second.mean(0)
    above = [(first - means[0]).pow(k).mean(0) - (second - means[1]).pow(k).mean(0) for k in range(2, moments + 1)]
    return torch.stack([torch.linalg.vector_norm(gap) for gap in (means[0] - means[1], *above)]).sum()
