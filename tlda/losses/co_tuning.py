"""Fine-tuning that goes on learning the classes of pretraining."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from tlda.batch import Learner, Output, Supervised
from tlda.errors import UserError
from tlda.losses.base import Loss
from tlda.nn import evaluating
from tlda.nn.numerics import full_precision, log_probabilities


def co_tuning(logits: Tensor, labels: Tensor) -> Tensor:
    r"""The cross-entropy of the pretrained classes, to soft ``labels`` that follow from the task's (You et al., NeurIPS 2020).

    .. math:: -\frac{1}{n} \sum_i \sum_j y_{ij} \log p_{ij}

    Args:
        logits: of the classes of pretraining, (n, s).
        labels: their probabilities, (n, s): the rows of :func:`category_relationship` of each row's class.

    Example:
        >>> logits, labels = torch.zeros(1, 4), torch.tensor([[0.5, 0.5, 0.0, 0.0]])
        >>> round(co_tuning(logits, labels).item(), 4)
        1.3863
    """
    return -(full_precision(labels) * log_probabilities(logits)).sum(1).mean()


def category_relationship(logits: Tensor, labels: Tensor, num_classes: int, temperature: float = 1.0) -> Tensor:
    """The probabilities of the pretrained classes given one of the task, (``num_classes``, s), by the paper's direct approach.

    They are the means of the calibrated predictions over the rows of a class; over all rows where a class has none.

    Args:
        logits: of the classes of pretraining, (n, s), by the pretrained network.
        labels: the classes of the rows in the task, (n,).
        num_classes: the number of the task's classes.
        temperature: divides the logits, which calibrates the predictions.
    """
    probabilities = (full_precision(logits) / temperature).softmax(1)
    counts = labels.bincount(minlength=num_classes)[:, None]
    sums = probabilities.new_zeros(num_classes, logits.shape[1]).index_add(0, labels, probabilities)
    return torch.where(counts > 0, sums / counts.clamp_min(1), probabilities.mean(0))


class CoTuning(Loss):
    """:func:`co_tuning` by the classifier that the backbone was pretrained with, which goes on learning.

    The relationship is that of the labelled rows that the method trains on, as its fit begins.

    Args:
        trade_off: the weight of the term; the paper's lambda.
        temperature: divides the pretrained logits; the value that calibrates them on validation data of pretraining.
    """

    reads_classes: ClassVar[bool] = True
    sees_target: ClassVar[bool] = False
    made_for_classes: ClassVar[bool] = True
    relationship: Tensor
    taken: Tensor

    def __init__(self, trade_off: float = 2.3, temperature: float = 1.0) -> None:
        super().__init__(trade_off)
        self.temperature = temperature

    def attach(self, method: Learner) -> None:
        self.classifier = method.network.backbone.classifier()
        if self.classifier.in_features != method.network.num_features:
            raise UserError("CoTuning puts the pretrained classifier on the backbone's features: leave --model.bottleneck out")
        self.register_buffer("relationship", torch.zeros(len(method.network.task.outputs), self.classifier.out_features))
        self.register_buffer("taken", torch.tensor(False))

    def begin(self, method: Learner) -> None:
        """Estimate how the classes of the pretraining relate to those of the task, from all labelled rows; once per run."""
        if self.taken:
            return
        field = next(name for name in ("labelled", "oracle", "source") if name in getattr(method.batch_type, "_fields", ()))
        with evaluating(method.network):
            parts = [(self.classifier(method.network(batch.x).features), batch.y) for batch in method.training_batches(field)]
        logits, labels = (torch.cat(column) for column in zip(*parts, strict=True))
        self.relationship.copy_(category_relationship(logits, labels, len(self.relationship), self.temperature))
        self.taken.fill_(True)

    def forward(self, batch: Supervised, source: Output, target: Output, progress: float) -> Tensor:
        return co_tuning(self.classifier(source.features), self.relationship[batch[0].y])
