"""Answers to questions that are spans of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import Metric

from tlda.batch import Inputs, Output
from tlda.errors import UserError
from tlda.inputs import arranged
from tlda.metrics.answers import AnswerScore, exact_match, token_f1
from tlda.tasks.base import Task
from tlda.tasks.place import Place


@dataclass
class Spans(Task):
    """The first and the last token of an answer. A row of features is a token where an answer may be; its scores make a row of logits.

    The classes of a row of logits would be positions in its text, so that there are none that a loss could compare.
    """

    headline: ClassVar[str] = "f1"
    one_row: ClassVar[bool] = False

    @property
    def outputs(self) -> Sequence[str]:
        return ("begin", "end")

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy, in nats, of logits (2 n, l) to the positions (2 n,)."""
        return cross_entropy(logits, y, ignore_index=-1, reduction="sum") / (y >= 0).sum().clamp_min(1)

    def metrics(self, place: Place) -> dict[str, Metric]:
        """Exact match and F1, against the ``answers`` of the rows of ``place``."""
        key = getattr(place.rows, "answers", None)
        if key is None:
            raise UserError("answers are measured against texts, which loaders do not have: give the trainer the data, such as Questions")
        return {"exact_match": AnswerScore(exact_match, key), "f1": AnswerScore(token_f1, key)}

    def known(self, y: Tensor) -> Tensor:
        # A question whose answer is cut off, at -1, counts too, and nothing answers it.
        return torch.ones_like(y, dtype=torch.bool)

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        raise UserError("predict writes one answer per row, and an answer is a span of a text: measure answers with `tlda test`")

    def arrange(self, logits: Tensor, x: Tensor) -> Tensor:
        return arranged(logits, x)
