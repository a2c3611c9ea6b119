"""Classes of one image pasted into another (ClassMix), and the cross-entropy of what is mixed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from tlda.inputs import as_maps


def half_of_classes(y: Tensor) -> Tensor:
    """Mark the positions of half of the classes of each map, drawn at random (Olsson et al., WACV 2021, alg. 1): (n, h, w) to (n, h, w).

    Of an odd number the larger half is taken, as in the code of DACS's authors; a label of -1 is no class, and never chosen.

    Example:
        >>> half_of_classes(torch.tensor([[[2, 2, -1]]])).tolist()
        [[[True, True, False]]]
    """
    chosen = torch.zeros_like(y, dtype=torch.bool)
    for mask, labels in zip(chosen, y, strict=True):
        there = labels[labels >= 0].unique()
        mask |= torch.isin(labels, there[torch.randperm(len(there), device=y.device)[: (len(there) + 1) // 2]])
    return chosen


def class_mix(source: Tensor, y: Tensor, target: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Paste :func:`half_of_classes` of each source image into a target image (Tranheden et al., WACV 2021, eq. 1-2).

    Args:
        source: images, (n, c, h, w).
        y: the labels of their positions, (r,), see :func:`tlda.inputs.as_maps`.
        target: images of the same size; where there are more, the source's are taken again.
        labels: the labels of their positions, (r,).

    Returns:
        The mixed images (n, c, h, w), the labels of their positions (r,), and which of these are of the source (r,).

    Example:
        >>> white, black = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
        >>> x, labels, pasted = class_mix(white, torch.tensor([-1, 5, 5, -1]), black, torch.tensor([8, 8, 8, 8]))
        >>> x.tolist(), labels.tolist()
        ([[[[0.0, 1.0], [1.0, 0.0]]]], [8, 5, 5, 8])
    """
    each = torch.arange(len(target), device=target.device) % len(source)
    maps, images = as_maps(y[:, None], source)[each, 0], source[each]
    chosen = half_of_classes(maps)
    pasted = interpolate(chosen[:, None].float(), images.shape[-2:]) > 0
    rows = chosen.flatten()
    return torch.where(pasted, images, target), torch.where(rows, maps.flatten(), labels), rows


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    r"""The mean over positions of the cross-entropy times a weight, in nats (Tranheden et al., WACV 2021, eq. 3).

    .. math:: -\frac{1}{n} \sum_i w_i \log p_{i, y_i}

    Args:
        logits: (n, c).
        labels: (n,); a position of -1 counts nothing.
        weights: (n,), without gradient.

    Example:
        >>> round(weighted_cross_entropy(torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([1.0, 0.5])).item(), 4)
        0.5199
    """
    losses = cross_entropy(logits, labels, ignore_index=-1, reduction="none")
    return (weights * losses).sum() / (labels >= 0).sum().clamp_min(1)
