"""Boxes as points (CenterNet: Zhou et al., *Objects as Points*, 2019): what is learnt of a position, and boxes of what is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, logsigmoid, max_pool2d

OVERLAP = 0.7
"""A box whose corners are moved by less than :func:`radius` overlaps at least so much with the true one (CornerNet, sec. 3.2)."""

ALPHA, BETA = 2.0, 4.0
"""The exponents of :func:`focal` (sec. 3)."""

NUMBERS = 4
"""What is predicted of a position beside its classes: width, height, and how far right and down of the position the centre is."""

SIZE_WEIGHT = 0.1
"""The weight of the loss of sizes (sec. 3)."""

START = -2.19
"""The bias of the logits of heat at the start, where a score is 0.1: most positions are no centre (Lin et al., ICCV 2017, sec. 4.1)."""

LEAST = 0.05
"""The least score of a box that is an answer."""


class Found(NamedTuple):
    """A box that was found: its class, its score, and its left, top, width and height as shares of the image's."""

    name: str
    score: float
    left: float
    top: float
    width: float
    height: float


def radius(height: Tensor, width: Tensor, overlap: float = OVERLAP) -> Tensor:
    """How far the corners of boxes may move, of which the intersection over union with the true box stays ``overlap`` at least.

    It is the least of three ways to move them: both the same way, both inwards, or both outwards (Law & Deng, ECCV 2018, sec. 3.2).
    """
    around, area = height + width, height * width
    same = _root(torch.ones_like(area), around, area * (1 - overlap) / (1 + overlap))
    inwards = _root(torch.full_like(area, 4), 2 * around, area * (1 - overlap))
    outwards = (-2 * overlap * around + (4 * overlap**2 * around**2 + 16 * overlap * (1 - overlap) * area).sqrt()) / (8 * overlap)
    return torch.minimum(torch.minimum(same, inwards), outwards)


def _root(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The smaller root of a r^2 - b r + c."""
    return (b - (b**2 - 4 * a * c).sqrt()) / (2 * a)


def targets(boxes: Tensor, size: tuple[int, int], stride: int, classes: int) -> Tensor:
    """What is learnt of each position of maps of ``size`` (h, w), rows (n * h * w, ``classes`` + 5).

    First the heat of each class: 1 at the centre of a box and less around it, a Gaussian of a sixth of the diameter that :func:`radius`
    gives, and the greater of two. Then width, height and the offset of the centre to the position, in positions, where there is a centre,
    and at last 1 where there is one. Of boxes with their centre in one position it is the smallest.

    Args:
        boxes: class, left, top, right and bottom in pixels, (n, k, 5); a class below 0 is no box.
        size: the height and width of the maps.
        stride: the distance of two positions in pixels.
        classes: the number of classes.
    """
    maps = boxes.new_zeros(len(boxes), classes + NUMBERS + 1, *size)
    for one, found in zip(maps, boxes, strict=True):
        _draw(one, found[found[:, 0] >= 0], stride, classes)
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def _draw(maps: Tensor, boxes: Tensor, stride: int, classes: int) -> None:
    """Draw the ``boxes`` (k, 5) of one image into its maps (c + 5, h, w)."""
    least_last = ((boxes[:, 3] - boxes[:, 1]) * (boxes[:, 4] - boxes[:, 2])).argsort(descending=True, stable=True)
    numbers, corners = boxes[least_last, 0].long(), boxes[least_last, 1:] / stride
    extent, centre = corners[:, 2:] - corners[:, :2], (corners[:, 2:] + corners[:, :2]) / 2
    limits = torch.tensor([maps.shape[2] - 1, maps.shape[1] - 1], device=maps.device)
    cell = torch.minimum(centre.floor().clamp_min(0), limits).long()
    reach = radius(extent[:, 1], extent[:, 0]).floor().clamp_min(0)
    lines = [_bells(length, cell[:, axis], reach) for length, axis in ((maps.shape[1], 1), (maps.shape[2], 0))]
    heat = lines[0][:, :, None] * lines[1][:, None]
    for number in sorted({*numbers.tolist()}):
        maps[number] = heat[numbers == number].amax(0)
    place = cell[:, 1] * maps.shape[2] + cell[:, 0]
    last = ~(place[:, None] == place).triu(1).any(1)
    x, y = cell[last].unbind(1)
    maps[classes:, y, x] = torch.cat((extent, centre - cell, torch.ones_like(extent[:, :1])), 1)[last].T


def _bells(length: int, middle: Tensor, reach: Tensor) -> Tensor:
    """Gaussians (k, ``length``) of positions on a line around ``middle`` (k,), 0 further away than ``reach`` (k,)."""
    away = torch.arange(length, device=middle.device) - middle[:, None]
    spread = (2 * reach[:, None] + 1) / 6
    return (-(away**2) / (2 * spread**2)).exp() * (away.abs() <= reach[:, None])


def focal(logits: Tensor, heat: Tensor) -> Tensor:
    """The penalty-reduced logistic regression with focal loss of each logit, in nats (eq. 1, without its 1 / N).

    Args:
        logits: of any shape.
        heat: the same shape, 0 to 1: 1 at a centre.
    """
    p = logits.sigmoid()
    centre = (1 - p) ** ALPHA * logsigmoid(logits)
    other = (1 - heat) ** BETA * p**ALPHA * logsigmoid(-logits)
    return -torch.where(heat == 1, centre, other)


def errors(logits: Tensor, wanted: Tensor) -> Tensor:
    """The loss of each position, (r,): :func:`focal` of all classes, and of a centre the L1 errors of offset and, with less weight, size.

    Args:
        logits: heat of each class, and :data:`NUMBERS`, (r, c + 4).
        wanted: rows of :func:`targets`, (r, c + 5).
    """
    heat, numbers = wanted[:, : -NUMBERS - 1], wanted[:, -NUMBERS - 1 : -1]
    off = l1_loss(logits[:, -NUMBERS:], numbers, reduction="none") * wanted[:, -1:]
    return focal(logits[:, :-NUMBERS], heat).sum(1) + SIZE_WEIGHT * off[:, :2].sum(1) + off[:, 2:].sum(1)


def start(layer: nn.Linear) -> nn.Linear:
    """``layer``, whose outputs are heat and :data:`NUMBERS`, with the biases that training starts from."""
    nn.init.zeros_(layer.bias)
    nn.init.constant_(layer.bias[:-NUMBERS], START)
    return layer


def decoded(maps: Tensor, stride: int, most: int) -> Tensor:
    """The ``most`` boxes of highest score of each image: class, score, left, top, right and bottom in pixels, (n, ``most``, 6), best first.

    A box is where the heat of a class is the greatest of 3 x 3 positions, which stands for non-maximum suppression (sec. 4). Where there
    are fewer, or one has no area, the score is 0. Boxes are cut to the image.

    Args:
        maps: what is predicted, (n, c + 4, h, w): logits of heat, width and height, and offsets, in positions.
        stride: the distance of two positions in pixels.
        most: the number of boxes.
    """
    heat, numbers = maps[:, :-NUMBERS].sigmoid(), maps[:, -NUMBERS:].flatten(2)
    height, width = maps.shape[2:]
    peaks = heat * (heat == max_pool2d(heat, 3, 1, 1))
    score, place = peaks.flatten(1).topk(min(most, peaks[0].numel()))
    cell = place % (height * width)
    wide, high, right, down = numbers.gather(2, cell[:, None].expand(-1, NUMBERS, -1)).unbind(1)
    x, y, half = cell % width + right, cell // width + down, (wide.clamp_min(0) / 2, high.clamp_min(0) / 2)
    sides = [(x - half[0], width), (y - half[1], height), (x + half[0], width), (y + half[1], height)]
    corners = [side.clamp(0, length) * stride for side, length in sides]
    has_area = (corners[2] > corners[0]) & (corners[3] > corners[1])
    return torch.stack([(place // (height * width)).to(score), score * has_area, *corners], 2)


def suppressed(found: Tensor, overlap: float | None) -> Tensor:
    """The boxes ``found`` (n, m, 6) of :func:`decoded` without those whose intersection over union with a better one of their image and
    class is above ``overlap``: these are 0, after the others (torchvision's ``batched_nms``). Without an ``overlap`` all stay."""
    if overlap is None:
        return found
    from torchvision.ops import batched_nms

    groups = found[..., 0] + (found[..., 0].max() + 1) * torch.arange(len(found), device=found.device)[:, None]
    kept = torch.zeros_like(found[..., 1]).flatten()
    # In double: boxes of groups are moved apart by whole images before they are compared.
    kept[batched_nms(found[..., 2:].flatten(0, 1).double(), found[..., 1].flatten().double(), groups.flatten(), overlap)] = 1
    rest = found * kept.view(*found.shape[:2], 1)
    return rest.gather(1, rest[..., 1].argsort(dim=1, descending=True, stable=True)[..., None].expand_as(rest))


def at_least(score: float, found: Tensor) -> Tensor:
    """The boxes ``found`` (n, m, 6) of :func:`decoded` as labels (n, m, 5) of :func:`targets`: one below ``score`` is no box."""
    number = found[..., :1].masked_fill((found[..., 1:2] < score) | (found[..., 1:2] <= 0), -1)
    return torch.cat((number, found[..., 2:]), -1)


def answered(found: Tensor, size: Sequence[int], names: Sequence[str]) -> list[Found]:
    """The boxes (m, 6) of an image of ``size`` (h, w) of a score of :data:`LEAST` or more, with the ``names`` of their classes."""
    shares = found[:, 2:] / torch.tensor([size[1], size[0]] * 2)
    shares[:, 2:] -= shares[:, :2]
    lines = torch.cat((found[:, :2], shares), 1)[found[:, 1] >= LEAST]
    return [Found(names[int(number)], *rest) for number, *rest in lines.tolist()]
