"""Tip-Adapter."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tlda.batch import LabelledBatch, Output
from tlda.errors import UserError
from tlda.methods.at_test import AtTest
from tlda.nn.affinity import affinity
from tlda.training.lightning import data_of
from tlda.training.target import training_batches


class TipAdapter(AtTest):
    r"""Labelled rows beside the head pull at the answers of near ones; nothing trains (Tip-Adapter: Zhang et al., ECCV 2022).

    .. math:: z + \alpha \sum_i \exp \left( -\beta \, (1 - \cos(f, f_i)) \right) y_i

    Made for a head of texts, ``--model.head.text``, and logits of 100 times a cosine: another temperature needs another ``alpha``.

    Args:
        alpha: the weight of the labelled rows; 0 is the network as it is: with a head of texts, zero-shot.
        sharpness: the paper's beta: how fast a row's weight falls with its distance.
        rows: the labelled rows: those of the ``source``, or a few of the target, ``labelled`` (``--data.shots``, ``--data.labelled``).
    """

    reads_classes: ClassVar[bool] = True

    def __init__(
        self, *, alpha: float = 1.0, sharpness: float = 5.5, rows: Literal["source", "labelled"] = "source", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.alpha, self.sharpness, self.rows = alpha, sharpness, rows

    @property
    def batch_type(self) -> type:
        return LabelledBatch if self.rows == "labelled" else super().batch_type

    @torch.no_grad()
    def begin(self) -> tuple[Any, ...]:
        copied, data = self.network.copied(), data_of(self.trainer)
        if not self.alpha:
            return (copied,)
        if self.rows == "labelled" and not (getattr(data, "shots", None) or getattr(data, "labelled", None)):
            raise UserError("--model.rows labelled keeps a few labelled rows of the target: give --data.shots or --data.labelled")
        known = [(copied.features(b.x[b.y >= 0]), b.y[b.y >= 0]) for b in training_batches(self, self.rows)]
        keys, labels = (torch.cat(part) for part in zip(*known, strict=True))
        return copied, keys.float(), one_hot(labels, len(self.task.outputs)).float()

    @torch.no_grad()
    def adapt(self, x: Tensor) -> Output:
        network, *kept = self.adapted
        features, logits = network(x)
        return Output(features, logits + self.alpha * affinity(features.float(), kept[0], self.sharpness) @ kept[1] if kept else logits)
