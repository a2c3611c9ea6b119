"""Questions whose answers are spans of a text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tlda.batch import Sample
from tlda.data.pooling import Name
from tlda.data.rows import Domain, Subset
from tlda.data.text.base import TextPair, data_path
from tlda.data.text.reading import read_text, text_of
from tlda.data.text.tokens import Texts, encode
from tlda.errors import UserError
from tlda.metrics.answers import Answer
from tlda.tasks import Spans, Task

TEST_SHARE = 0.2


class Question(NamedTuple):
    """A question, the text in which its answers are, the answers, where the first begins in characters, and its place, for errors."""

    question: str
    context: str
    answers: list[str]
    start: int
    place: str


@dataclass
class AskedTexts(Texts):
    """Questions, each with its text: ``tokens`` are (t, 3), see :mod:`tlda.inputs`, ``labels`` (n, 2) the first and last token of the
    answer, -1 where that is cut off, ``offsets`` (t, 2) the characters of each token. A batch has the labels (2 n,) in turn.
    """

    offsets: Tensor
    answers: list[Answer] | None = None
    """What the rows are scored by, where they measure."""

    def __getitem__(self, rows: Tensor) -> Sample:
        return Sample(self.padded(rows), self.labels[rows].flatten(), rows)


class Questions(TextPair):
    """Questions about texts, in SQuAD's JSON (Rajpurkar et al., EMNLP 2016), split by articles: a fifth of them measures.

    It is the same fifth in files of as many articles, so that what XQuAD translated from a question trained on is never measured.

    Args:
        source: the file of the source, found where the command runs or in ``TLDA_DATA``.
        target: the file of the target.
        max_length: the most tokens of a question and its text together; training on answers leaves out those that lie
            beyond, while adaptation, which sees none, takes all questions.
        shots: the labelled questions that a supervised setting may see of the target; null for all.
        **kwargs: see :class:`TextPair`.

    Raises:
        UserError: a file that is not SQuAD's JSON, or has fewer than two articles with questions; an answer that is not where it is said
            to be; a question that leaves no room for its text.
    """

    def __init__(
        self, source: Name = "xquad/xquad.en.json", target: Name = "xquad/xquad.es.json", max_length: int = 384, **kwargs: Any
    ) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self.source, self.target = str(source), str(target)

    @property
    def transfer(self) -> str:
        return "_to_".join(Path(name).stem for name in (self.source, self.target))

    @property
    def task(self) -> Task:
        return Spans()

    @cached_property
    def questions(self) -> list[dict[str, list[Question]]]:
        """The questions of source and target by ``train`` and ``test``."""
        return [_split(articles(data_path(None, name))) for name in (self.source, self.target)]

    def load(self) -> tuple[Domain, Domain]:
        source, target = (self._domain(name, domain) for name, domain in zip((self.source, self.target), self.questions, strict=True))
        return source, target

    def _domain(self, name: str, questions: dict[str, list[Question]]) -> Domain:
        if not all(questions.values()):
            raise UserError(f"'{name}' has too few articles to train on some and measure others: it needs two with questions, or more")
        train, test = (self._spans(part, f"'{name}'") for part in (questions["train"], questions["test"]))
        answered = (train.labels >= 0).all(1).nonzero().flatten()
        if not len(answered):
            raise UserError(f"no question of '{name}' has its answer within {self.max_length} tokens: raise --data.max_length")
        measured = replace(test, labels=test.labels.clamp_min(0), answers=_key(questions["test"], test))
        return Domain(name, Subset(train, answered), measured, every=train)

    def _spans(self, questions: list[Question], what: str) -> AskedTexts:
        found = encode([(q.question, q.context) for q in questions], self.tokenizer, self.max_length, what, "spans")
        offsets, tokens = found["origin"].tensor_split(found["ends"][:-1]), found["tokens"].tensor_split(found["ends"][:-1])
        labels = [_tokens_of(q, o, t[:, 1] == 1) for q, o, t in zip(questions, offsets, tokens, strict=True)]
        return AskedTexts(found["tokens"], found["ends"], torch.tensor(labels), found["origin"])


def _key(questions: Sequence[Question], rows: AskedTexts) -> list[Answer]:
    offsets = rows.offsets.tensor_split(rows.ends[:-1])
    return [Answer(q.context, o, q.answers) for q, o in zip(questions, offsets, strict=True)]


def _tokens_of(question: Question, offsets: Tensor, allowed: Tensor) -> tuple[int, int]:
    """The first and the last token of the answer, or -1 and -1 where it is cut off."""
    start, end = question.start, question.start + len(question.answers[0])
    inside = (allowed & (offsets[:, 1] > start) & (offsets[:, 0] < end)).nonzero().flatten()
    if not len(inside) or offsets[inside[-1], 1] < end:
        return -1, -1
    return int(inside[0]), int(inside[-1])


def articles(path: Path) -> list[list[Question]]:
    """The questions of each article of a file in SQuAD's JSON."""
    try:
        found = json.loads(read_text(path))["data"]
        return [list(_questions(f"{path}, article {number},", article)) for number, article in enumerate(found, 1)]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is not in SQuAD's JSON ({type(error).__name__}: {error}): it needs data, paragraphs, qas and answers"
        ) from error


def _questions(place: str, article: dict[str, Any]) -> Iterator[Question]:
    for paragraph in article["paragraphs"]:
        context = text_of(paragraph["context"], place) and paragraph["context"]
        for entry in paragraph["qas"]:
            own = f"{place} question '{entry.get('id')}',"
            answers = [answer["text"] for answer in entry["answers"]]
            start = entry["answers"][0]["answer_start"]
            if not answers[0] or start < 0 or context[start : start + len(answers[0])] != answers[0]:
                raise UserError(f"{own} has the answer '{answers[0]}', which is not at character {start} of its text: mend answer_start")
            yield Question(text_of(entry["question"], own), context, answers, start, own)


def _split(found: list[list[Question]]) -> dict[str, list[Question]]:
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0)).tolist()
    held = max(1, round(TEST_SHARE * len(found)))
    return {
        part: [question for article in sorted(rows) for question in found[article]]
        for part, rows in (("train", order[held:]), ("test", order[:held]))
    }
