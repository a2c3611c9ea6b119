"""Pretraining on the source, then training on a few labels of the target."""

from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import LabelledBatch, LabelledPair, Output, Sample
from tlda.method import Method


class FineTune(Method):
    r"""Train on the source for a fraction of the run, then on the labelled part of the target (``--data.shots``).

    .. math:: -\frac{1}{m} \sum_j \log p_{j, y_j}

    Args:
        pretrain: the fraction of the run spent on the source; with 0 there is none, for a backbone that is pretrained, or ``init_from``.
    """

    setting: ClassVar[str] = "semi-supervised"
    one_domain: ClassVar[bool] = True

    def __init__(self, *, pretrain: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pretrain = pretrain

    @property
    def batch_type(self) -> type:
        return LabelledPair if self.pretrain else LabelledBatch

    def forward_pair(self, batch: LabelledPair | LabelledBatch) -> tuple[Output, Output]:
        output = self(self.learnt(batch).x)
        return output, output

    def objective(self, batch: LabelledPair | LabelledBatch, source: Output, target: Output) -> dict[str, Tensor]:
        return super().objective(LabelledBatch(self.learnt(batch)), source, target)

    def learnt(self, batch: LabelledPair | LabelledBatch) -> Sample:
        """The part of ``batch`` that is learnt now."""
        labelled: Sample = batch[0] if self.progress < self.pretrain else batch.labelled
        return labelled
