"""Average precision, of cases counted by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tlda.batch import Sample
from tlda.metrics.average_precision import AveragePrecision, average_precision, matched, overlaps

TRUTH = torch.tensor([[[0, 0, 0, 10, 10], [0, 20, 0, 30, 10], [1, 0, 20, 10, 30]], [[0, 0, 0, 10, 10], [-1] * 5, [-1] * 5]]).float()


def measured(found: Tensor, truth: Tensor = TRUTH, levels: int = 1, only: int | None = None, classes: int = 2) -> float:
    metric = AveragePrecision(classes, levels, only)
    for image, true in zip(found, truth, strict=True):  # image by image, as batches of one
        metric.update(matched(image[None], true[None]), Sample(torch.zeros(1), true[None], torch.zeros(1)))
    return float(metric.compute())


def boxes(*lines: tuple[float, ...]) -> Tensor:
    return torch.tensor([*lines, *[(0.0,) * 6] * (4 - len(lines))]).float()


def test_overlaps_are_of_areas() -> None:
    found = overlaps(torch.tensor([[[0.0, 0, 4, 4], [8, 8, 9, 9]]]), torch.tensor([[[2.0, 0, 6, 4], [0, 0, 4, 4]]]))
    assert torch.allclose(found[0], torch.tensor([[8 / 24, 1], [0, 0]]))


def test_every_box_found_is_one() -> None:
    found = torch.stack((boxes((0, 0.9, 0, 0, 10, 10), (1, 0.8, 0, 20, 10, 30), (0, 0.7, 20, 0, 30, 10)), boxes((0, 0.6, 0, 0, 10, 10))))
    assert measured(found) == measured(found, levels=10) == 1


def test_a_case_by_hand() -> None:
    """Class 0 has three true boxes. In order of score: right, wrong (the same box again), right, and the third is never found."""
    first = boxes((0, 0.9, 0, 0, 10, 10), (0, 0.8, 0, 0, 10, 9), (0, 0.5, 20, 0, 30, 10))
    found = torch.stack((first, boxes()))
    # Precision 1 up to a recall of 1/3 (34 of 101 recalls), 2/3 up to 2/3 (33 more), then 0.
    assert measured(found, only=0) == pytest.approx((34 + 33 * 2 / 3) / 101, abs=1e-6)
    assert measured(found, only=1) == 0
    assert measured(found) == pytest.approx((34 + 22) / 101 / 2, abs=1e-6)


def test_boxes_of_two_images_are_ordered_together() -> None:
    found = torch.stack((boxes((0, 0.4, 0, 0, 10, 10)), boxes((0, 0.9, 50, 50, 60, 60), (0, 0.3, 0, 0, 10, 10))))
    # Wrong, right, right: the precision is 1/2 and then 2/3, which is the greatest from any recall up to 2/3.
    assert measured(found, only=0) == pytest.approx(67 * 2 / 3 / 101, abs=1e-6)


def test_overlap_decides_at_each_level() -> None:
    truth = torch.tensor([[[0, 0, 0, 10, 10]]]).float()
    found = torch.tensor([[[0, 0.9, 0, 0, 10, 7.2]]])  # an overlap of 0.72: right at 0.5, 0.55, 0.6, 0.65 and 0.7
    assert measured(found, truth, 1) == 1
    assert measured(found, truth, 10) == pytest.approx(0.5)


def test_a_box_takes_the_one_it_overlaps_most_of_those_left() -> None:
    truth = torch.tensor([[[0, 0, 0, 10, 10], [0, 2, 0, 12, 10]]]).float()
    found = torch.tensor([[[0, 0.9, 1.8, 0, 11.8, 10], [0, 0.8, 1.5, 0, 11.5, 10]]])
    assert matched(found, truth)[0, :, 2].tolist() == [1, 1]


def test_a_class_without_true_boxes_is_left_out() -> None:
    truth = torch.tensor([[[0, 0, 0, 10, 10]]]).float()
    found = torch.tensor([[[0, 0.9, 0, 0, 10, 10], [1, 0.9, 0, 0, 10, 10]]])
    assert measured(found, truth) == 1
    assert math.isnan(measured(found, truth, only=1))


def plain(score: list[float], right: list[float], count: int) -> float:
    order = sorted(range(len(score)), key=lambda i: -score[i])
    points = [(sum(right[j] for j in order[: i + 1]) / count, sum(right[j] for j in order[: i + 1]) / (i + 1)) for i in range(len(order))]
    return sum(max((p for r, p in points if r >= step / 100 - 1e-9), default=0) for step in range(101)) / 101


def test_average_precision_is_that_of_a_plain_loop() -> None:
    torch.manual_seed(0)
    for count in (5, 9, 40):
        score, right = torch.rand(30), (torch.rand(30) < 0.4).float()
        right[right.cumsum(0) > count] = 0
        assert float(average_precision(score, right, count)) == pytest.approx(plain(score.tolist(), right.tolist(), count), abs=1e-6)
    assert average_precision(torch.rand(0), torch.rand(0), 3) == 0
