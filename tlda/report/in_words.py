"""What a network writes of some rows of the target: continuations of texts, and captions of pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytorch_lightning import LightningModule

from tlda.batch import Inputs, Output
from tlda.data.pair import DomainPair
from tlda.nn import evaluating
from tlda.tasks import Caption, NextToken
from tlda.tasks.next_token import answers_of
from tlda.training.predictions import Columns

ROWS, PROMPT, NEXT = 4, 24, 16
"""The rows that are shown, the tokens of a text that are given, and how many are written."""


def written_samples(method: LightningModule, data: DomainPair) -> Columns:
    """What ``method`` writes of some rows, by column: the beginning of a text and its continuation, or a caption."""
    batch = data.prepare(next(iter(data.predict_dataloader())))
    task, x = data.task, batch.x[:ROWS].to(method.device)
    if isinstance(task, NextToken):
        task, x = replace(task, continuation=NEXT), x[:, :PROMPT]
    asked: Any = method

    def answer(inputs: Inputs) -> Output:
        output: Output = asked.answer(inputs, "target")
        return output

    with evaluating(method), method.trainer.precision_plugin.forward_context():
        answers = answers_of(task, answer, answer(x), x)
    return {
        "file": [data.describe_row(row) for row in batch.row[:ROWS].tolist()],
        **{name: list(values) for name, values in answers.items()},
    }


def writes(data: DomainPair) -> bool:
    """Whether the answers for ``data`` are words."""
    return isinstance(data.task, NextToken | Caption)
