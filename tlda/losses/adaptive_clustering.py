"""The losses of adaptation with a few labels of the target: minimax entropy (MME), and adversarial adaptive clustering (CDAC)."""

from __future__ import annotations

import torch
from torch import Tensor

from tlda.errors import UserError
from tlda.losses.entropy import entropy
from tlda.nn.numerics import full_precision, log_probabilities

TINY = 1e-7


def minimax_entropy(logits: Tensor) -> Tensor:
    r"""The mean entropy of the predictions on the target, in nats, (n, c) to a scalar (Saito et al., ICCV 2019, eq. 2).

    .. math:: -\frac{1}{m} \sum_j \sum_k p_{jk} \log p_{jk}

    The head makes it large, so that its weights move among the target's features; the features make it small. The authors' code adds
    1e-5 within the logarithm.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0], [99.0, 0.0]])
        >>> round(minimax_entropy(logits).item(), 4)
        0.3466
    """
    return entropy(logits)


def alike(features: Tensor, top: int = 5) -> Tensor:
    r"""Which pairs of rows have the same ``top`` greatest features, (n, d) to a boolean (n, n) (Li et al., CVPR 2021, sec. 3.2).

    .. math:: s_{ij} = 1 \text{ where } \mathrm{top}_k(f_i) = \mathrm{top}_k(f_j) \text{, else } 0

    Raises:
        UserError: there are fewer features.

    Example:
        >>> alike(torch.tensor([[3.0, 2.0, 0.0], [2.0, 3.0, 1.0], [0.0, 2.0, 3.0]]), 2).int().tolist()
        [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    if not 1 <= top <= features.shape[1]:
        raise UserError(f"alike compares the {top} greatest features, and there are {features.shape[1]}: give --model.top 1 to that number")
    chosen = torch.zeros_like(features, dtype=torch.bool).scatter(1, features.topk(top, 1).indices, True)
    return (chosen[:, None] == chosen).all(2)


def adaptive_clustering(logits: Tensor, strong: Tensor, pairs: Tensor) -> Tensor:
    r"""The binary cross-entropy of all pairs of rows, whether they have one class (Li et al., CVPR 2021, eq. 2).

    .. math:: -\frac{1}{n^2} \sum_{i,j} \left(s_{ij} \log(p_i \cdot p_j) + (1 - s_{ij}) \log(1 - p_i \cdot p_j)\right)

    The probability that two rows have one class is the product of their predictions. Features make it small, the head large.

    Args:
        logits: of the rows, (n, c).
        strong: of the same rows under a strong augmentation, (n, c).
        pairs: which rows are alike, (n, n), by :func:`alike`.

    Example:
        >>> round(adaptive_clustering(torch.zeros(2, 2), torch.zeros(2, 2), torch.eye(2)).item(), 4)
        0.6931
    """
    same = (log_probabilities(logits).exp() @ log_probabilities(strong).exp().T).clamp(0, 1)
    target = full_precision(pairs.to(same.dtype))
    return -(target * (same + TINY).log() + (1 - target) * (1 - same + TINY).log()).mean()
