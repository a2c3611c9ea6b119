"""Pretraining on the source, then training on a few labels of the target."""

from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from tlda.batch import LabelledPair, Output
from tlda.method import Method


class FineTune(Method):
    """Train on the source for a share of the run, then go on with the labelled part of the target (``--data.shots``).

    Args:
        pretrain: the share of the run spent on the source; 0 where ``init_from`` names a pretrained checkpoint.
    """

    def __init__(self, pretrain: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pretrain = pretrain

    @property
    def batch_type(self) -> type:
        return LabelledPair

    def forward_pair(self, batch: LabelledPair) -> tuple[Output, Output]:
        domain = batch.source if self.progress < self.pretrain else batch.labelled
        output = self(domain.x)
        return output, output

    def objective(self, batch: LabelledPair, source: Output, target: Output) -> dict[str, Tensor]:
        if self.progress < self.pretrain:
            return {"task": cross_entropy(source.logits, batch.source.y)}
        return {"task": cross_entropy(target.logits, batch.labelled.y)}
