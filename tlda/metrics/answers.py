"""Answers that are spans of a text, scored as SQuAD scores them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from tlda.batch import Sample

LONGEST = 30
"""The most tokens of an answer that is looked for."""


class Answer(NamedTuple):
    """What a predicted span is scored by: the text, the characters (l, 2) of each token, and the right answers."""

    context: str
    offsets: Tensor
    answers: list[str]


def normalised(text: str) -> str:
    """In lower case, without punctuation, English articles and superfluous white space."""
    bare = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(predicted: str, answer: str) -> float:
    """1 where the normalised texts are the same, else 0."""
    return float(normalised(predicted) == normalised(answer))


def token_f1(predicted: str, answer: str) -> float:
    """The F1 of the words of the normalised texts (Rajpurkar et al., EMNLP 2016, sec. 6.1)."""
    found, wanted = normalised(predicted).split(), normalised(answer).split()
    shared = sum((Counter(found) & Counter(wanted)).values())
    return 2 * shared / (len(found) + len(wanted)) if shared else 0.0


def best_span(begin: Tensor, end: Tensor) -> tuple[int, int]:
    """The first and last token of the best answer of at most :data:`LONGEST`, by the sum of its scores; (l,) each."""
    scores = (begin[:, None] + end).float()
    allowed = torch.ones_like(scores, dtype=torch.bool).triu().tril(LONGEST - 1)
    first, last = divmod(int(scores.masked_fill(~allowed, -torch.inf).argmax()), len(end))
    return first, last


class AnswerScore(Metric):
    """The mean over questions of the best score of the predicted answer against the right ones.

    Args:
        score: of a predicted and a right answer, 0 to 1.
        key: what each row of the data is scored by.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, score: Callable[[str, str], float], key: Sequence[Answer]) -> None:
        super().__init__()
        self.score, self.key = score, key
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Count the logits (2 n, l) of a batch of n questions: beginning and end of each in turn."""
        for row, scores in zip(batch.row.tolist(), logits.view(-1, 2, logits.shape[1]), strict=True):
            answer = self.key[row]
            begin, end = best_span(*scores[:, : len(answer.offsets)])
            predicted = answer.context[int(answer.offsets[begin, 0]) : int(answer.offsets[end, 1])]
            self.total += max(self.score(predicted, right) for right in answer.answers)
            self.count += 1

    def compute(self) -> Tensor:
        """The mean, 0 to 1."""
        return (self.total / self.count).float()
