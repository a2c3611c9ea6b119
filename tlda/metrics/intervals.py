"""How far a mean over episodes may be from that over all that there could be."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics import Metric

from tlda.batch import Sample
from tlda.errors import UserError


def half_interval(values: Tensor) -> float:
    """Half the width of the 95 % interval of the mean of independent ``values`` (n,), by the normal distribution; NaN of fewer than two."""
    return 1.96 * float(values.double().std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def paired_interval(first: Tensor, second: Tensor) -> tuple[float, float]:
    """The mean of ``first`` less ``second``, scores of the same episodes in order (n,), and half the width of its 95 % interval.

    Raises:
        UserError: they are not of as many episodes.

    Example:
        >>> paired_interval(torch.tensor([1.0, 0.5, 0.75]), torch.tensor([0.5, 0.0, 0.25]))
        (0.5, 0.0)
    """
    if first.shape != second.shape:
        raise UserError(f"paired_interval compares scores of the same episodes, and got {tuple(first.shape)} and {tuple(second.shape)}")
    difference = first.double() - second.double()
    return float(difference.mean()), half_interval(difference)


class Interval(Metric):
    """Half the width of the 95 % interval of the accuracy over episodes, each of which is one update."""

    accuracies: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("accuracies", [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Count the logits (n, ways) of the queries of an episode."""
        self.accuracies.append((logits.argmax(1) == batch.y).double().mean()[None])

    def compute(self) -> Tensor:
        return torch.tensor(half_interval(self.by_episode))

    @property
    def by_episode(self) -> Tensor:
        """The accuracy of each episode, in the order of the list, (n,)."""
        return torch.cat(list(self.accuracies))
