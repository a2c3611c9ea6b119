"""The variance of the domains' risks."""

from __future__ import annotations

from torch import Tensor

from tlda.errors import UserError
from tlda.nn.numerics import full_precision


def risk_variance(risks: Tensor) -> Tensor:
    r"""The mean squared deviation of the domains' risks from their mean (V-REx; Krueger et al., ICML 2021, eq. 8), which is biased.

    .. math:: \frac{1}{k} \sum_e (R_e - \bar{R})^2

    Args:
        risks: the mean loss of each domain, (k,).

    Raises:
        UserError: there is no risk, or not one number per domain.

    Example:
        >>> round(risk_variance(torch.tensor([1.0, 2.0, 4.0])).item(), 6)
        1.555556
    """
    if risks.ndim != 1 or not len(risks):
        raise UserError(f"risk_variance takes one risk per domain, (k,), got {tuple(risks.shape)}")
    risks = full_precision(risks)
    return (risks - risks.mean()).square().mean()
