"""Which predictions are certain among a batch, and the penalty of those that are not (FixBi)."""

from __future__ import annotations

import torch
from torch import Tensor

from tlda.nn.numerics import full_precision, log_probabilities


def certain_labels(logits: Tensor, deviations: float = 2.0) -> tuple[Tensor, Tensor]:
    r"""The likeliest class of each row, and whether it is certain among the batch, (n,) both (Na et al., CVPR 2021, sec. 3.3).

    .. math:: \max_k p_{ik} \ge \bar{m} - d \, s

    The threshold is the mean of the batch's greatest probabilities less ``deviations`` times their standard deviation.

    Args:
        logits: (n, c).
        deviations: how many standard deviations.

    Example:
        >>> certain_labels(torch.tensor([[9.0, 0.0], [0.0, 9.0], [0.0, 0.1]]), 1.0)
        (tensor([0, 1, 1]), tensor([ True,  True, False]))
    """
    greatest, labels = full_precision(logits.detach()).softmax(1).max(1)
    return labels, greatest >= greatest.mean() - deviations * (greatest.std() if len(greatest) > 1 else 0.0)


def self_penalization(logits: Tensor, labels: Tensor, temperature: Tensor | float = 1.0) -> Tensor:
    r"""The mean of minus the log of how unlikely each row's label is (Na et al., CVPR 2021, eq. 6); 0 where there is no row.

    .. math:: -\frac{1}{n} \sum_i \log\left(1 - \mathrm{softmax}(z_i / T)_{y_i}\right)

    The label is a prediction of which the network is not certain, and is to become less likely.

    Args:
        logits: (n, c).
        labels: (n,).
        temperature: divides the logits; a tensor of one number may be learnt.

    Example:
        >>> round(self_penalization(torch.zeros(3, 2), torch.tensor([0, 1, 0])).item(), 4)
        0.6931
    """
    log_p = log_probabilities(logits / temperature)
    # In the log domain: the others' probability keeps its digits where it is next to none.
    others = log_p.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
    return -others.sum() / max(len(labels), 1)
