"""Pretraining on the source, then training on a few labels of the target."""

from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import LabelledBatch, LabelledPair, Output, Sample
from tlda.errors import UserError
from tlda.method import Method


class FineTune(Method):
    r"""Train on the source for a fraction of the run, then on the labelled part of the target (``--data.shots``).

    .. math:: -\frac{1}{m} \sum_j \log p_{j, y_j}

    Args:
        pretrain: the fraction of the run spent on the source; with 0 there is none, for a backbone that is pretrained, or ``init_from``.
        replay: the fraction of the later steps that rehearse the source, at equal distances, so that it is not forgotten.

    Raises:
        UserError: ``replay`` is not between 0 and 1.
    """

    setting: ClassVar[str] = "semi-supervised"
    one_domain: ClassVar[bool] = True

    def __init__(self, *, pretrain: float = 0.5, replay: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if replay is not None and not 0 < replay < 1:
            raise UserError(f"--model.replay is {replay}: it is a fraction of the steps, between 0 and 1")
        self.pretrain, self.replay = pretrain, replay

    @property
    def batch_type(self) -> type:
        return LabelledPair if self.pretrain or self.replay else LabelledBatch

    def forward_pair(self, batch: LabelledPair | LabelledBatch) -> tuple[Output, Output]:
        output = self(self.learnt(batch).x)
        return output, output

    def objective(self, batch: LabelledPair | LabelledBatch, source: Output, target: Output) -> dict[str, Tensor]:
        return super().objective(LabelledBatch(self.learnt(batch)), source, target)

    def learnt(self, batch: LabelledPair | LabelledBatch) -> Sample:
        """The part of ``batch`` that is learnt now."""
        of_source = self.progress < self.pretrain or (self.replay and rehearses(self.trainer.fit_loop.total_batch_idx, self.replay))
        labelled: Sample = batch[0] if of_source else batch.labelled
        return labelled


def rehearses(step: int, share: float) -> bool:
    """Whether ``step``, counted from 0, is one of those that rehearse the source: that ``share`` of all, the first as late as it may be."""
    return int((step + 1) * share + 1e-9) > int(step * share + 1e-9)
