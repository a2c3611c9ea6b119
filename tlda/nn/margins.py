"""Logits of cosines whose own class must win by a margin."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

STEEPEST = 1e-6
"""The least squared sine: the slope of an angle is not finite where a cosine is 1."""


def arcface_logits(cosines: Tensor, y: Tensor, margin: float = 0.5, scale: float = 64.0) -> Tensor:
    r"""The logits of ArcFace: the angle to a row's own class counts as ``margin`` more (Deng et al., CVPR 2019, eq. 3).

    .. math:: s \cos(\theta_y + m), \quad s \cos \theta_j \text{ of others}

    Beyond an angle of :math:`\pi - m`, where the cosine would rise again, it is :math:`\cos \theta - m \sin m`, as in the authors' code.

    Args:
        cosines: of each row with each class, (r, c), in -1..1.
        y: the class of each row, (r,); a row of none of the classes, such as -1, has no margin.
        margin: in radians, from 0 to pi.
        scale: the length of the features, the inverse of a temperature.

    Returns:
        (r, c).

    Example:
        >>> arcface_logits(torch.tensor([[0.0, 0.5]]), torch.tensor([0]), margin=math.pi / 6, scale=1.0)
        tensor([[-0.5000,  0.5000]])
    """
    sines = (1 - cosines.square()).clamp_min(STEEPEST).sqrt()
    turned = cosines * math.cos(margin) - sines * math.sin(margin)
    beyond = cosines < -math.cos(margin)
    return scale * torch.where(_own(cosines, y), torch.where(beyond, cosines - margin * math.sin(margin), turned), cosines)


def cosface_logits(cosines: Tensor, y: Tensor, margin: float = 0.35, scale: float = 64.0) -> Tensor:
    r"""The logits of CosFace: the cosine with a row's own class counts as ``margin`` less (Wang et al., CVPR 2018, eq. 4).

    .. math:: s (\cos \theta_y - m), \quad s \cos \theta_j \text{ of others}

    Args:
        cosines: of each row with each class, (r, c), in -1..1.
        y: the class of each row, (r,); a row of none of the classes, such as -1, has no margin.
        margin: the difference of cosines, 0 or more.
        scale: the length of the features, the inverse of a temperature.

    Returns:
        (r, c).

    Example:
        >>> cosface_logits(torch.tensor([[0.75, 0.5]]), torch.tensor([0]), margin=0.5, scale=2.0)
        tensor([[0.5000, 1.0000]])
    """
    return scale * (cosines - margin * _own(cosines, y))


def _own(cosines: Tensor, y: Tensor) -> Tensor:
    """Which of ``cosines`` (r, c) is that of the row's own class, (r, c)."""
    classes = cosines.shape[1]
    return one_hot(torch.where((y >= 0) & (y < classes), y, classes), classes + 1)[:, :-1].bool()
