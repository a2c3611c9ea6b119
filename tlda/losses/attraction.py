"""The losses of adaptation by neighbours, without a source."""

from __future__ import annotations

from torch import Tensor


def attraction(p: Tensor, near: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Minus the mean agreement of rows with their near ones, summed over these (Yang et al., NeurIPS 2021, eq. 3; NeurIPS 2022, eq. 5).

    .. math:: -\frac{1}{n} \sum_i \sum_{k \in N(i)} w_{ik} \, p_i \cdot q_k

    Args:
        p: the predictions of the rows, (n, c).
        near: those of k near rows of each, (n, k, c), which have no gradient.
        weights: of each near row, (n, k); 1 where none are given.

    Example:
        >>> p = torch.tensor([[1.0, 0.0]])
        >>> attraction(p, torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])).item()
        -1.5
    """
    agreement = (p[:, None] * near.detach()).sum(2)
    return -(agreement if weights is None else weights * agreement).sum(1).mean()


def dispersion(p: Tensor) -> Tensor:
    r"""The mean agreement of each row of predictions (n, c) with the others, summed over these (Yang et al., NeurIPS 2022, eq. 5).

    .. math:: \frac{1}{n} \sum_i \sum_{j \ne i} p_i \cdot p_j

    Example:
        >>> dispersion(torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])).item()
        0.6666666865348816
    """
    both = p @ p.T
    return (both.sum() - both.trace()) / len(p)
