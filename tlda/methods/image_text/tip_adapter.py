"""Tip-Adapter."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tlda.batch import LabelledBatch, Output
from tlda.errors import UserError
from tlda.methods.at_test import AtTest
from tlda.nn.affinity import affinity, chosen_constants
from tlda.training.lightning import data_of
from tlda.training.target import held_out_batches, outputs_of, training_batches

Rows = Literal["source", "labelled"]


class TipAdapter(AtTest):
    r"""Labelled rows beside the head pull at the answers of near ones; nothing trains (Tip-Adapter: Zhang et al., ECCV 2022).

    .. math:: z + \alpha \sum_i \exp \left( -\beta \, (1 - \cos(f, f_i)) \right) y_i

    Args:
        alpha: the weight of the labelled rows beside logits of 100 cosines; 0 is the network as it is: with a head of texts, zero-shot.
        sharpness: the paper's beta: how fast a row's weight falls with its distance.
        rows: the labelled rows: those of the ``source``, or a few of the target, ``labelled`` (``--data.shots``, ``--data.labelled``).
        search: choose ``alpha`` and ``sharpness`` by the accuracy on held-out rows of the source, so without a label of the target.
    """

    reads_classes: ClassVar[bool] = True

    def __init__(
        self, *, alpha: float = 1.0, sharpness: float = 5.5, rows: Rows = "source", search: bool | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.alpha, self.sharpness, self.rows, self.search = alpha, sharpness, rows, search

    @property
    def batch_type(self) -> type:
        return LabelledBatch if self.rows == "labelled" else super().batch_type

    @torch.no_grad()
    def begin(self) -> tuple[Any, ...]:
        copied, data = self.network.copied(), data_of(self.trainer)
        if not (self.alpha or self.search):
            return (copied,)
        if self.rows == "labelled" and not (getattr(data, "shots", None) or getattr(data, "labelled", None)):
            raise UserError("--model.rows labelled keeps a few labelled rows of the target: give --data.shots or --data.labelled")
        keys, _, labels = outputs_of(copied, training_batches(self, self.rows))
        kept = keys, nn.functional.one_hot(labels, len(self.task.outputs)).float()
        if self.search:
            scale = 1 / float(getattr(copied.head, "temperature", 1.0))
            self.alpha, self.sharpness = chosen_constants(*outputs_of(copied, held_out_batches(self)), *kept, scale)
        return copied, *kept

    @torch.no_grad()
    def adapt(self, x: Tensor) -> Output:
        network, *kept = self.adapted
        features, logits = network(x)
        return Output(features, logits + self.alpha * affinity(features.float(), kept[0], self.sharpness) @ kept[1] if kept else logits)
