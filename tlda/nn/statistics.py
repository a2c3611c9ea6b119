"""Statistics of feature maps."""

from __future__ import annotations

from torch import Tensor


def mixed_statistics(x: Tensor, order: Tensor, weights: Tensor, epsilon: float = 1e-6) -> Tensor:
    r"""Maps whose channels have the mean and the deviation mixed with those of other rows (MixStyle: Zhou et al., ICLR 2021, eq. 2-4).

    .. math:: \gamma \frac{x - \mu(x)}{\sigma(x)} + \beta, \quad \gamma = \lambda \sigma(x) + (1 - \lambda) \sigma(\tilde x)

    The statistics carry no gradient, as in the authors' code.

    Args:
        x: (n, c, h, w).
        order: the row that each row is mixed with, (n,).
        weights: :math:`\lambda`, (n,).
        epsilon: added to the variance.
    """
    mean, deviation = x.mean((2, 3), keepdim=True).detach(), (x.var((2, 3), keepdim=True) + epsilon).sqrt().detach()
    share = weights.view(-1, 1, 1, 1)
    gamma, beta = (share * own + (1 - share) * own[order] for own in (deviation, mean))
    return gamma * (x - mean) / deviation + beta
