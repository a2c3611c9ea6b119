"""Training on the source, without adaptation."""

from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from tlda.errors import UserError
from tlda.method import Method


class SmoothedMethod(Method):
    """The base of methods that may smooth the source's labels.

    Args:
        label_smoothing: the fraction of a label that is spread over all classes (Szegedy et al., CVPR 2016, sec. 7), 0.1 in SHOT's
            source stage and in ATDOC; None for no smoothing.

    Raises:
        UserError: the fraction is not from 0 to less than 1, or the task has no classes.
    """

    def __init__(self, *, label_smoothing: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= (label_smoothing or 0) < 1:
            raise UserError(f"--model.label_smoothing is {label_smoothing}: it is a share of a label, from 0 to less than 1")
        if label_smoothing and not self.task.classes:
            raise UserError(f"--model.label_smoothing smooths classes, and {type(self.task).__name__} has none: leave it out")
        self.label_smoothing = label_smoothing or 0.0

    def task_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if not self.label_smoothing:
            return super().task_loss(logits, labels)
        return cross_entropy(logits, labels, label_smoothing=self.label_smoothing)


class SourceOnly(SmoothedMethod):
    r"""The baseline: cross-entropy on the source's labels; the target is not looked at.

    .. math:: -\frac{1}{n} \sum_i \log p_{i, y_i}

    With ``plus``, it becomes the method that those losses make.
    """
