"""Clustering of the target by its neighbours, and separation of what is uncertain (DANCE)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tlda.losses.entropy import entropy_of
from tlda.nn.numerics import full_precision, log_probabilities

NEVER = -1e4
"""The logit of what is nobody's neighbour: its probability is 0, and its gradient too."""


def neighborhood_clustering(
    features: Tensor, rows: Tensor, bank: Tensor, filled: Tensor, prototypes: Tensor, temperature: float = 0.05
) -> Tensor:
    r"""The mean entropy of which neighbour a row is alike, of all other rows and the classes (Saito et al., NeurIPS 2020, eq. 3-5).

    .. math:: \frac{1}{n} \sum_i H(q_i), \quad q_{ij} \propto \exp(f_i \cdot v_j / \tau)

    Args:
        features: of the target, (n, d).
        rows: which rows of the bank these are, (n,); none is its own neighbour.
        bank: the features of all rows, of unit length, (N, d).
        filled: which rows of the bank are known yet, (N,).
        prototypes: the classifier's weights, (c, d).
        temperature: divides the cosines.

    Example:
        >>> bank, prototypes = torch.eye(2), torch.eye(2)
        >>> round(neighborhood_clustering(bank[:1], torch.tensor([0]), bank, torch.tensor([True, False]), prototypes, 99.0).item(), 2)
        0.69
    """
    neighbours = torch.cat((bank.to(prototypes.dtype), normalize(full_precision(prototypes), dim=1)))
    similarity = normalize(full_precision(features), dim=1) @ neighbours.T / temperature
    hidden = torch.zeros_like(similarity, dtype=torch.bool)
    hidden[:, : len(bank)] = ~filled
    hidden.scatter_(1, rows[:, None], True)
    return entropy_of(similarity.masked_fill(hidden, NEVER).log_softmax(1)).mean()


def entropy_separation(logits: Tensor, margin: float = 0.5) -> Tensor:
    r"""Minus how far the entropies are from log(c) / 2, the mean over rows; 0 for those within the ``margin`` (the same, eq. 6-7).

    .. math:: -\frac{1}{n} \sum_{i : d_i > m} d_i, \quad d_i = \left| H(p_i) - \frac{\log c}{2} \right|

    What is certain becomes more so, what is uncertain less.

    Args:
        logits: of the target, (n, c).
        margin: in nats.

    Example:
        >>> logits = torch.tensor([[99.0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]])
        >>> round(entropy_separation(logits).item(), 4)
        -1.0397
    """
    distance = (entropy_of(log_probabilities(logits)) - math.log(logits.shape[1]) / 2).abs()
    return -distance.where(distance > margin, 0.0).mean()
