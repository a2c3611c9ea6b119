"""The adversary of open-set adaptation: a classifier that has a class for unknown rows (OSBP)."""

from __future__ import annotations

from torch import Tensor

from tlda.errors import UserError
from tlda.nn.numerics import log_probabilities


def open_set_adversarial(logits: Tensor, threshold: float = 0.5) -> Tensor:
    r"""The mean binary cross-entropy of the last class's probability to ``threshold`` (Saito et al., ECCV 2018, eq. 2).

    .. math:: -\frac{1}{n} \sum_i \left(t \log p_{i, c+1} + (1 - t) \log(1 - p_{i, c+1})\right)

    The classifier makes it small, so that an unknown class has the probability ``threshold``; the features make it large, so that each
    row is either known or unknown.

    Args:
        logits: of the target, (n, c + 1), the unknown class last.
        threshold: the probability t, between 0 and 1.

    Raises:
        UserError: a threshold out of its range.

    Example:
        >>> round(open_set_adversarial(torch.zeros(4, 2)).item(), 4)
        0.6931
    """
    if not 0 < threshold < 1:
        raise UserError(f"open_set_adversarial has the threshold {threshold}: it is a probability between 0 and 1")
    log_p = log_probabilities(logits)
    return -(threshold * log_p[:, -1] + (1 - threshold) * log_p[:, :-1].logsumexp(1)).mean()
