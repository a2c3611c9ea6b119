"""How well the next token is predicted. Sums are kept, never the logits."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import Metric

from tlda.batch import Sample


class Perplexity(Metric):
    """The exponential of the mean cross-entropy of the tokens: how many equally likely tokens would be as hard to choose from."""

    is_differentiable = False
    full_state_update = False
    higher_is_better = False
    nats: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("nats", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Count the logits (r, tokens) of a batch, whose labels (r,) are the tokens that come."""
        self.nats += cross_entropy(logits.float(), batch.y, reduction="none").double().sum()
        self.count += self.counted(batch)

    def counted(self, batch: Sample) -> float:
        """What a batch counts for: its tokens."""
        return float(len(batch.y))

    def compute(self) -> Tensor:
        """The perplexity, 1 or more."""
        return (self.nats / self.count).exp().float()


class BitsPerByte(Perplexity):
    """The bits that the tokens of a text cost, over its bytes in UTF-8: it compares models whose tokenizers differ.

    Args:
        sizes: the bytes of the token behind each row, (tokens of the text,); 0 for one that stands for no text, such as a separator.
    """

    def __init__(self, sizes: Tensor) -> None:
        super().__init__()
        self.sizes = sizes

    def counted(self, batch: Sample) -> float:
        return float(self.sizes[batch.row.cpu()].sum())

    def compute(self) -> Tensor:
        """The bits per byte, 0 or more."""
        return (self.nats / math.log(2) / self.count).float()
