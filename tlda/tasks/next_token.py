"""The next token of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torchmetrics import Metric

from tlda.backbones.text import load_tokenizer
from tlda.batch import PAD, Inputs, Output
from tlda.errors import UserError
from tlda.metrics.perplexity import BitsPerByte, Perplexity
from tlda.tasks.base import Task
from tlda.tasks.place import Place


@dataclass
class NextToken(Task):
    """The token that comes after each token of a text: a row is a token, and its label the next one, or -1.

    There are as many labels as tokens in a vocabulary, so that they are no classes that a loss could compare. ``predict`` continues texts
    by the likeliest token each time.

    Args:
        size: the number of the tokens.
        tokenizer: the model whose tokenizer turns tokens into text.
        continuation: how many tokens ``predict`` adds to a text.
        end: the token that ends a document, where a continuation ends; -1 for none.
    """

    size: int
    tokenizer: str = ""
    continuation: int = 32
    end: int = -1

    headline: ClassVar[str] = "perplexity"
    one_row: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.continuation < 1:
            raise UserError(f"--data.continuation is {self.continuation}: it is a number of tokens, 1 or more")

    def head(self, num_features: int) -> nn.Module:
        return nn.Linear(num_features, self.size, bias=False)

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy, in nats, of the logits (r, tokens) to the next tokens (r,)."""
        return self.risk(logits, y).sum() / self.known(y).sum().clamp_min(1)

    def risk(self, logits: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(logits.float(), y, ignore_index=-1, reduction="none")

    def metrics(self, place: Place) -> dict[str, Metric]:
        """Perplexity, and where the data know the bytes of each token, bits per byte."""
        sizes = getattr(place.rows, "sizes", None)
        return {"perplexity": Perplexity(), **({} if sizes is None else {"bits_per_byte": BitsPerByte(sizes)})}

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        raise UserError("a continuation needs the network again for each of its tokens: ask for it by `tlda predict`")

    def continued(self, network: Callable[[Inputs], Output], output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        """The texts ``x`` (n, l), whose ``output`` is that of their last tokens, and what ``network`` continues them by."""
        assert isinstance(x, Tensor)
        texts, lengths = x, (x != PAD).sum(1)
        for step in range(self.continuation):
            texts = _with_next(texts, output.logits.argmax(1), lengths + step)
            output = network(texts) if step + 1 < self.continuation else output
        rows = zip(texts.tolist(), lengths.tolist(), strict=True)
        before, after = zip(*((row[:length], row[length : length + self.continuation]) for row, length in rows), strict=True)
        tokenizer = load_tokenizer(self.tokenizer)
        whole = [row[: row.index(self.end)] if self.end in row else row for row in after]
        return {"text": tokenizer.decode_batch(list(before)), "continuation": tokenizer.decode_batch(whole)}


def answers_of(task: Task, network: Callable[[Inputs], Output], output: Output, x: Inputs) -> dict[str, Sequence[object]]:
    """The columns that ``predict`` writes of the ``output`` for inputs ``x``; :class:`NextToken` asks the ``network`` again for more."""
    return task.continued(network, output, x) if isinstance(task, NextToken) else task.answers(output, x)


def _with_next(texts: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
    """The ``texts`` (n, l), of ``lengths`` (n,) tokens each, with one of ``tokens`` (n,) after each of them."""
    wider = texts if int(lengths.max()) < texts.shape[1] else pad(texts, (0, 1), value=PAD)
    return wider.scatter(1, lengths[:, None], torch.as_tensor(tokens)[:, None])
