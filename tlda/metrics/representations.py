"""Measures of features by themselves, beside the loss of a pre-training that says nothing of what they are worth."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from tlda.nn.numerics import full_precision


def knn_accuracy(bank: Tensor, bank_labels: Tensor, features: Tensor, labels: Tensor, neighbours: int = 20) -> Tensor:
    """The share of rows whose nearest neighbours by cosine have their class (Wu et al., CVPR 2018, sec. 3.4).

    Args:
        bank: the features (m, d) of the rows whose labels vote, each by the exponential of its cosine over 0.07.
        bank_labels: their classes, (m,).
        features: the features (n, d) to classify.
        labels: their classes, (n,).
        neighbours: how many vote, at most m.

    Returns:
        A scalar, 0 to 1.
    """
    bank, features = (normalize(full_precision(rows), dim=1) for rows in (bank, features))
    nearest = (features @ bank.T).topk(min(neighbours, len(bank)), dim=1)
    votes = one_hot(bank_labels[nearest.indices]) * (nearest.values[..., None] / 0.07).exp()
    return (votes.sum(1).argmax(1) == labels).float().mean()


def rank_me(features: Tensor) -> Tensor:
    """The effective rank of features (n, d): the exponential of their singular values' entropy (RankMe; Garrido et al., ICML 2023, eq. 3).

    Returns:
        A scalar, from 1 (all on one line) to d.
    """
    values = torch.linalg.svdvals(full_precision(features))
    shares = values / values.sum().clamp_min(1e-12) + 1e-7
    rank: Tensor = (-(shares * shares.log()).sum()).exp()
    return rank


def feature_std(features: Tensor) -> Tensor:
    """The standard deviation of features (n, d) at length 1, over dimensions, times the root of d (Chen & He, CVPR 2021, sec. 4.1).

    Returns:
        A scalar: about 1 where they are spread in all directions, 0 where they are constant.
    """
    rows = normalize(full_precision(features), dim=1)
    spread: Tensor = rows.std(0, correction=0).mean() * rows.shape[1] ** 0.5
    return spread
