"""How often the right one is among the first that are found."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tlda.nn.numerics import full_precision


def recalls(queries: Tensor, gallery: Tensor, asked: Tensor, there: Tensor, ranks: Sequence[int] = (1, 5, 10)) -> dict[str, Tensor]:
    """The fraction of queries that have one of their own among the nearest ``k`` of a gallery by cosine: ``recall_at_k``.

    Of equal cosines the right one comes last, so that features which are all the same find nothing.

    Args:
        queries: features (n, d).
        gallery: features (m, d).
        asked: what each query belongs to, (n,).
        there: what each of the gallery belongs to, (m,).
        ranks: the numbers ``k``.

    Returns:
        A scalar from 0 to 1 for each ``k``; ``k`` above m is m.

    Example:
        >>> recalls(torch.eye(3), torch.eye(3), torch.tensor([0, 1, 2]), torch.tensor([0, 2, 1]), (1, 2))["recall_at_1"].item()
        0.3333333432674408
    """
    queries, gallery = (normalize(full_precision(rows), dim=1) for rows in (queries, gallery))
    cosines, own = queries @ gallery.T, asked[:, None] == there
    best = cosines.masked_fill(~own, -torch.inf).amax(1, keepdim=True)
    before = ((cosines >= best) & ~own).sum(1)
    return {f"recall_at_{k}": (own.any(1) & (before < k)).float().mean() for k in ranks}
