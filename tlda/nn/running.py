"""Running statistics of inputs that come in one after the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningStatistics(nn.Module):
    """Normalise rows by the mean and the standard deviation of all rows seen so far; both are in checkpoints. Before the first, nothing.

    Args:
        width: the numbers of a row.
        limit: the largest absolute value of a normalised number.
    """

    count: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, limit: float = 10.0) -> None:
        super().__init__()
        self.limit = limit
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    @torch.no_grad()
    def see(self, x: Tensor) -> None:
        """Take the rows ``x`` (…, width) into the statistics (Chan, Golub and LeVeque, 1979)."""
        rows = x.reshape(-1, x.shape[-1])
        total, difference = self.count + len(rows), rows.mean(0) - self.mean
        spread = self.variance * self.count + rows.var(0, correction=0) * len(rows)
        self.variance.copy_((spread + difference.square() * self.count * len(rows) / total) / total)
        self.mean += difference * len(rows) / total
        self.count.copy_(total)

    def forward(self, x: Tensor) -> Tensor:
        normalised = nn.functional.batch_norm(x.float(), self.mean, self.variance, eps=1e-8)  # one operation, by these statistics
        return normalised.clamp_(-self.limit, self.limit)
