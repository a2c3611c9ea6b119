"""How near rows are to others that are kept."""

import itertools

import torch
from torch import Tensor
from torch.nn.functional import normalize


def affinity(queries: Tensor, keys: Tensor, sharpness: float) -> Tensor:
    r"""Weigh kept rows by the angle to them: (n, m), each from 0 to 1 (Zhang et al., ECCV 2022, eq. 3).

    .. math:: \exp \left( -\beta \, (1 - \cos(q_i, k_j)) \right)

    Args:
        queries: (n, d).
        keys: (m, d).
        sharpness: :math:`\beta`.
    """
    return torch.exp(-sharpness * (1 - normalize(queries, dim=1) @ normalize(keys, dim=1).T))


def chosen_constants(
    features: Tensor, logits: Tensor, labels: Tensor, keys: Tensor, values: Tensor, scale: float = 1.0
) -> tuple[float, float]:
    """Choose the weight and the sharpness of kept rows by the accuracy on others, whose labels are known.

    Args:
        features: those of the others, (n, d).
        logits: the network's answers to them, (n, c).
        labels: their classes, (n,).
        keys: the kept rows, (m, d).
        values: their classes as rows of 0 and 1, (m, c).
        scale: what multiplies the cosines in ``logits``, which the weights that are tried follow; the paper's is 100.

    Returns:
        The weight, from 0 to the scale, and the sharpness, from 1 to 20: the first that are best.
    """
    best, found = -1, (0.0, 1.0)
    for sharpness, weight in itertools.product((5.5, 1.0, 3.0, 10.0, 20.0), (0.01, 0.0, 0.003, 0.03, 0.1, 0.3, 1.0)):
        answers = logits + weight * scale * affinity(features, keys, sharpness) @ values
        if (right := int((answers.argmax(1) == labels).sum())) > best:
            best, found = right, (weight * scale, sharpness)
    return found
