"""The distributionally robust risk over domains."""

from __future__ import annotations

from torch import Tensor

from tlda.errors import UserError
from tlda.nn.numerics import full_precision


def group_dro(risks: Tensor, weights: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    r"""Weight the domains' risks, after the weights grew where the risk is high (GroupDRO; Sagawa et al., ICLR 2020, alg. 1).

    .. math:: \sum_e q_e R_e, \quad q_e \propto q_e^{\mathrm{old}} \exp(\eta R_e)

    The new weights are ``weights * exp(eta * risks)`` over their sum; they carry no gradient.

    Args:
        risks: the mean loss of each domain, (k,).
        weights: the weight of each domain before, (k,), none negative and one positive.
        eta: the step of the weights, 0 or more.

    Returns:
        The weighted sum of the risks, a scalar, and the new weights, (k,), whose sum is 1.

    Raises:
        UserError: the shapes differ, or the step is negative.

    Example:
        >>> loss, weights = group_dro(torch.tensor([0.0, 2.0]), torch.tensor([0.5, 0.5]), eta=0.5)
        >>> round(loss.item(), 4), [round(weight, 4) for weight in weights.tolist()]
        (1.4621, [0.2689, 0.7311])
    """
    if risks.ndim != 1 or risks.shape != weights.shape or not len(risks):
        raise UserError(f"group_dro takes a risk and a weight per domain, (k,), got {tuple(risks.shape)} and {tuple(weights.shape)}")
    if not eta >= 0:
        raise UserError(f"group_dro has the step eta {eta}: it must be 0 or more")
    risks = full_precision(risks)
    # A softmax: the exponential of a diverged risk alone would be infinite.
    grown = (weights.detach().to(risks).log() + eta * risks.detach()).softmax(0)
    return (grown * risks).sum(), grown
