"""Answers that near rows have in common."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

TINY = 1e-10


def laplacian_assignment(probabilities: Tensor, features: Tensor, neighbours: int = 5, steps: int = 100) -> Tensor:
    """The probabilities (n, c) of rows, each pulled towards those of its nearest rows (Boudiaf et al., CVPR 2022, eq. 5).

    Args:
        probabilities: (n, c).
        features: (n, d); near rows have near directions.
        neighbours: how many pull at each row; with 0 the probabilities are returned as they are.
        steps: the most steps; they end where the energy changes by less than 1e-8 of itself.

    Example:
        >>> p = torch.tensor([[0.9, 0.1], [0.4, 0.6]])
        >>> laplacian_assignment(p, torch.ones(2, 3), neighbours=1).argmax(1).tolist()
        [0, 0]
    """
    rows = normalize(features, dim=1)
    near = torch.cdist(rows, rows).topk(min(neighbours + 1, len(rows)), 1, largest=False).indices[:, 1:]
    affinity = torch.zeros(len(rows), len(rows), dtype=probabilities.dtype, device=rows.device).scatter(1, near, 1.0)
    unary = (probabilities + TINY).log()
    found, before = unary.softmax(1), float("nan")
    for _ in range(steps):
        pull = affinity @ found
        found = (unary + pull).softmax(1)
        energy = float((found * (found.clamp_min(1e-20).log() - unary - affinity @ found)).sum().detach())
        if abs(energy - before) <= 1e-8 * abs(before):
            break
        before = energy
    return found
