"""What CenterNet learns of a position, its loss, and the boxes of what it predicts, against plain loops."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from tlda.nn.center_net import at_least, decoded, focal, radius, suppressed, targets


def overlap(height: float, width: float, move: tuple[float, float], grow: float) -> float:
    """The intersection over union of a box and one that is moved, and larger by ``grow`` on each side."""
    down, right = move
    a, b = (0.0, 0.0, width, height), (right - grow, down - grow, width + right + grow, height + down + grow)
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize(("height", "width"), [(10.0, 10.0), (3.0, 17.0), (40.0, 25.0)])
def test_within_the_radius_a_box_overlaps_enough_and_beyond_it_does_not(height: float, width: float) -> None:
    r = float(radius(torch.tensor(height), torch.tensor(width)))
    for share, enough in ((0.99, True), (1.01, False)):
        moved = [
            overlap(height, width, (share * r, share * r), 0),
            overlap(height, width, (0, 0), -share * r),
            overlap(height, width, (0, 0), share * r),
        ]
        assert (min(moved) >= 0.7) is enough


def plain_targets(boxes: Sequence[tuple[float, ...]], height: int, width: int, stride: int, classes: int) -> torch.Tensor:
    """The maps of one image, cell by cell, (c + 5, h, w), for boxes whose centres lie apart."""
    maps = torch.zeros(classes + 5, height, width)
    for number, left, top, right, bottom in boxes:
        wide, high = (right - left) / stride, (bottom - top) / stride
        x, y = (left + right) / 2 / stride, (top + bottom) / 2 / stride
        reach = int(radius(torch.tensor(high), torch.tensor(wide)))
        spread = (2 * reach + 1) / 6
        for line in range(height):
            for column in range(width):
                away = line - int(y), column - int(x)
                if max(map(abs, away)) <= reach:
                    heat = math.exp(-(away[0] ** 2 + away[1] ** 2) / (2 * spread**2))
                    maps[int(number), line, column] = max(float(maps[int(number), line, column]), heat)
        maps[classes:, int(y), int(x)] = torch.tensor([wide, high, x - int(x), y - int(y), 1.0])
    return maps


def test_targets_are_those_of_a_plain_loop() -> None:
    boxes = [(0, 4.0, 6.0, 50.0, 39.0), (1, 30.0, 2.0, 44.0, 47.0), (0, 20.0, 20.0, 63.0, 47.5)]
    padded = torch.tensor([[*boxes, (-1, -1, -1, -1, -1)], [boxes[1], *[(-1,) * 5] * 3]]).float()
    found = targets(padded, (12, 16), 4, 2).view(2, 12, 16, 7).permute(0, 3, 1, 2)
    assert torch.allclose(found[0], plain_targets(boxes, 12, 16, 4, 2), atol=1e-6)
    assert torch.allclose(found[1], plain_targets(boxes[1:2], 12, 16, 4, 2), atol=1e-6)
    assert found[0, -1].sum() == 3


def test_of_two_boxes_with_one_centre_the_smaller_one_is_learnt_whatever_their_order() -> None:
    boxes = torch.tensor([[[0, 4, 4, 8, 8], [0, 0, 0, 12, 12]], [[0, 0, 0, 12, 12], [0, 4, 4, 8, 8]]]).float()
    found = targets(boxes, (6, 6), 2, 1).view(2, 36, 6)
    assert torch.equal(found[0], found[1])
    assert found[0, 3 * 6 + 3].tolist() == [1, 2, 2, 0, 0, 1]


def test_the_focal_loss_is_equation_1_with_its_gradient() -> None:
    torch.manual_seed(0)
    logits, heat = torch.randn(40, dtype=torch.double, requires_grad=True), torch.rand(40, dtype=torch.double)
    heat[::7] = 1
    loss = focal(logits, heat)
    p = [1 / (1 + math.exp(-x)) for x in logits.tolist()]
    expected = [
        -((1 - q) ** 2) * math.log(q) if y == 1 else -((1 - y) ** 4) * q**2 * math.log(1 - q) for q, y in zip(p, heat.tolist(), strict=True)
    ]
    assert torch.allclose(loss, torch.tensor(expected, dtype=torch.double))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    # By hand: of a centre (1-p)^2 (2 p log p - (1-p)), of another (1-y)^4 p^2 (p - 2 (1-p) log(1-p)).
    slopes = [
        (1 - q) ** 2 * (2 * q * math.log(q) - (1 - q)) if y == 1 else (1 - y) ** 4 * q**2 * (q - 2 * (1 - q) * math.log(1 - q))
        for q, y in zip(p, heat.tolist(), strict=True)
    ]
    assert torch.allclose(gradient, torch.tensor(slopes, dtype=torch.double))


def test_the_focal_loss_is_finite_far_out() -> None:
    logits = torch.tensor([-200.0, 200.0, -200.0, 200.0], requires_grad=True)
    loss = focal(logits, torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert loss.isfinite().all()
    assert torch.autograd.grad(loss.sum(), logits)[0].isfinite().all()


def plain_peaks(heat: torch.Tensor) -> list[tuple[float, int, int, int]]:
    """Score, class, line and column of what is the greatest of its neighbours, best first."""
    found = []
    for number, one in enumerate(heat):
        for y in range(one.shape[0]):
            for x in range(one.shape[1]):
                if one[y, x] == one[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max():
                    found.append((float(one[y, x]), number, y, x))
    return sorted(found, reverse=True)


def test_boxes_are_the_peaks_of_a_plain_loop() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 7, 6, 9)
    maps[:, 3:5] = maps[:, 3:5].abs()
    for image, found in zip(maps, decoded(maps, 4, 8), strict=True):
        for box, (score, number, y, x) in zip(found.tolist(), plain_peaks(image[:3].sigmoid()), strict=False):
            wide, high, right, down = image[3:, y, x].tolist()
            sides = [(x + right - wide / 2, 9), (y + down - high / 2, 6), (x + right + wide / 2, 9), (y + down + high / 2, 6)]
            corners = [4 * min(max(side, 0), length) for side, length in sides]
            has_area = corners[2] > corners[0] and corners[3] > corners[1]
            assert box == pytest.approx([number, score * has_area, *corners], abs=1e-4)


def test_targets_as_predictions_give_the_boxes_back() -> None:
    boxes = torch.tensor([[[0, 4, 6, 30, 21], [1, 30, 2, 44, 47], [-1, -1, -1, -1, -1]]]).float()
    maps = targets(boxes, (12, 16), 4, 2)[:, :-1].view(1, 12, 16, 6).permute(0, 3, 1, 2).clone()
    maps[:, :2] = 20 * maps[:, :2] - 10
    found = decoded(maps, 4, 2)[0]
    assert torch.allclose(found[found[:, 0].argsort()][:, [0, 2, 3, 4, 5]], boxes[0, :2], atol=1e-4)


def share(a: Sequence[float], b: Sequence[float]) -> float:
    """The intersection over union of two boxes: left, top, right and bottom."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, wide) * max(0.0, high)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def test_the_worse_of_two_boxes_that_overlap_is_left_out_as_by_a_plain_loop() -> None:
    random = torch.Generator().manual_seed(0)
    number = torch.randint(0, 2, (3, 40, 1), generator=random)
    score = torch.rand(3, 40, 1, generator=random).sort(1, descending=True).values
    corner, extent = 30 * torch.rand(3, 40, 2, generator=random), 5 + 20 * torch.rand(3, 40, 2, generator=random)
    found = torch.cat((number, score, corner, corner + extent), 2)
    for image, rest in zip(found, suppressed(found, 0.4), strict=True):
        kept: list[list[float]] = []
        for box in image.tolist():
            if all(better[0] != box[0] or share(better[2:], box[2:]) <= 0.4 for better in kept):
                kept.append(box)
        assert 5 < len(kept) < 35
        assert torch.equal(rest[: len(kept)], torch.tensor(kept))
        assert not rest[len(kept) :].any()
    assert (at_least(0.0, suppressed(found, 0.4))[..., 0] >= 0).sum() == (suppressed(found, 0.4)[..., 1] > 0).sum()
    assert torch.equal(suppressed(found, 0.999), found)


def test_a_box_far_from_the_first_image_is_compared_exactly() -> None:
    one = torch.tensor([[1.0, 0.9, 1000.0, 500.0, 1010.0, 510.0], [1.0, 0.8, 1000.0, 500.0, 1010.0, 506.0]])
    many = one.expand(400, 2, 6)  # an overlap of 0.6 exactly
    assert (suppressed(many, 0.601)[:, 1, 1] > 0).all()
    assert (suppressed(many, 0.599)[:, 1, 1] == 0).all()
