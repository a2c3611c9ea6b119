"""How near rows are to others that are kept."""

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
