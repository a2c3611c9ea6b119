"""A classifier per source domain, whose mean answers."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class SourceHeads(nn.Module):
    """Heads on the same features; ``forward`` is the logarithm of the mean of their probabilities, (n, d) to (n, c)."""

    def __init__(self, heads: Iterable[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def each(self, features: Tensor) -> list[Tensor]:
        """The logits of every head, (n, c) each."""
        return [head(features) for head in self.heads]

    def forward(self, features: Tensor) -> Tensor:
        logits = torch.stack([logits.float().log_softmax(-1) for logits in self.each(features)])
        return logits.logsumexp(0) - math.log(len(self.heads))
