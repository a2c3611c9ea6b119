"""Overlap of regions, against scikit-learn and counts by hand."""

from __future__ import annotations

import math

import torch
from sklearn.metrics import f1_score, jaccard_score
from torch import Tensor
from torch.nn.functional import one_hot

from tlda.batch import Sample
from tlda.metrics.overlap import Dice, MeanIoU, confusion, iou


def sample(y: Tensor) -> Sample:
    return Sample(torch.zeros(len(y), 1), y, torch.arange(len(y)))


def test_mean_iou_is_that_of_scikit_learn_over_the_whole_set() -> None:
    torch.manual_seed(0)
    labels, predicted = torch.randint(0, 4, (300,)), torch.randint(0, 4, (300,))
    metric = MeanIoU(4)
    for part in torch.arange(300).tensor_split([30, 200]):  # batches of unlike sizes, whose mean would be another number
        metric.update(one_hot(predicted[part], 4).float(), sample(labels[part]))
    assert math.isclose(metric.compute(), jaccard_score(labels, predicted, average="macro"), rel_tol=1e-6)


def test_a_class_in_neither_labels_nor_predictions_is_left_out() -> None:
    labels, predicted = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
    matrix = confusion(predicted, labels, 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert torch.allclose(iou(matrix)[:2], torch.tensor([1 / 2, 2 / 3]))
    assert iou(matrix)[2].isnan()
    metric = MeanIoU(3)
    metric.update(one_hot(predicted, 3).float(), sample(labels))
    assert math.isclose(metric.compute(), (1 / 2 + 2 / 3) / 2, rel_tol=1e-6)


def test_dice_is_the_f1_of_the_second_class() -> None:
    torch.manual_seed(1)
    labels, predicted = torch.randint(0, 2, (90,)), torch.randint(0, 2, (90,))
    metric = Dice()
    metric.update(one_hot(predicted, 2).float(), sample(labels))
    assert math.isclose(metric.compute(), f1_score(labels, predicted), rel_tol=1e-6)
