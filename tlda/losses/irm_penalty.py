"""The penalty of invariant risk minimisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn.functional import one_hot

from tlda.errors import UserError
from tlda.nn.numerics import full_precision, option

PenaltyVariant = Literal["domainbed", "paper"]


def irm_penalty(logits: Tensor, labels: Tensor, variant: PenaltyVariant = "domainbed") -> Tensor:
    r"""Square the gradient of a domain's cross-entropy on a factor of the logits, at a factor of 1 (IRMv1; Arjovsky et al., 2019, eq. 4).

    .. math:: \left(\frac{\partial R_e(w \cdot o)}{\partial w}\right)^2_{w = 1}

    The gradient of a row is ``(p - y) . o``, of its prediction, label and logits.

    Args:
        logits: of the rows of one domain, (n, c).
        labels: their classes, (n,); rows of -1 are left out.
        variant: ``paper`` squares the mean over the rows; ``domainbed`` multiplies the means of the even and of the odd rows, an unbiased
            estimate, which may be negative and needs two rows.

    Raises:
        UserError: too few rows that have a label, or an unknown variant.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 3.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
        >>> round(irm_penalty(logits, torch.tensor([0, 2, 1, 1])).item(), 6)
        -0.047087
    """
    penalties: dict[str, Callable[[Tensor], Tensor]] = {"domainbed": _halves, "paper": _whole}
    penalty = option("irm_penalty", "variant", variant, penalties)
    known = labels >= 0
    logits, labels = full_precision(logits[known]), labels[known]
    if len(labels) < (least := 2 if variant == "domainbed" else 1):
        raise UserError(f"irm_penalty needs at least {least} labelled rows of a domain, got {len(labels)}; raise the batch size")
    return penalty(((logits.softmax(1) - one_hot(labels, logits.shape[1])) * logits).sum(1))


def _halves(gradients: Tensor) -> Tensor:
    return gradients[::2].mean() * gradients[1::2].mean()


def _whole(gradients: Tensor) -> Tensor:
    return gradients.mean().square()
