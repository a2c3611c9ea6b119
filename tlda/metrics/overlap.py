"""How predicted regions overlap the labelled ones, from one confusion matrix over all pixels that are counted."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from tlda.batch import Sample


def confusion(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The counts (c, c) by true class (down) and predicted class (across) of pixels (n,)."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)


def iou(matrix: Tensor) -> Tensor:
    """The intersection over union of each class, (c,), from counts (c, c) by true and predicted class; NaN where a class is in neither."""
    right = matrix.diagonal()
    return right / (matrix.sum(0) + matrix.sum(1) - right)


class MeanIoU(Metric):
    """The mean over classes of :func:`iou`, from counts over the whole set; a class that is in neither labels nor predictions is left out.

    It is not the mean over images, in which a class that an image lacks would count as right or wrong by convention.

    Args:
        classes: the number of classes.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    matrix: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.add_state("matrix", torch.zeros(classes, classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Count the logits (m, classes) of labelled pixels."""
        self.matrix += confusion(logits.argmax(1), batch.y, self.classes)

    def compute(self) -> Tensor:
        """The mean, 0 to 1."""
        return iou(self.matrix).nanmean()


class Dice(MeanIoU):
    """The Dice coefficient of the second of two classes: twice the intersection over the sum of both areas (Dice, 1945), which is its
    F1."""

    def __init__(self) -> None:
        super().__init__(2)

    def compute(self) -> Tensor:
        """The coefficient over the whole set, 0 to 1; NaN where the class is in neither labels nor predictions."""
        return 2 * self.matrix[1, 1] / (self.matrix[1].sum() + self.matrix[:, 1].sum())
