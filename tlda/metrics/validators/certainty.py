"""Validators that look at the target's predictions alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchmetrics.utilities import dim_zero_cat

from tlda import losses
from tlda.losses import entropy
from tlda.losses.entropy import entropy_of
from tlda.metrics.validators.base import Validator, thin
from tlda.nn.numerics import log_probabilities


def information_maximization(logits: Tensor) -> Tensor:
    """The entropy of the mean prediction less the mean entropy, in nats: 0 to log(c) (Krause et al., NeurIPS 2010, eq. 2).

    It estimates the mutual information of input and prediction: high where each is certain and all classes are in use.

    Args:
        logits: (n, c).
    """
    return -losses.information_maximization(logits)


def soft_neighborhood_density(logits: Tensor, temperature: float = 0.05) -> Tensor:
    """How many others predict alike: the mean entropy of a row's similarities, 0 to log(n - 1) (Saito et al., ICCV 2021, eq. 2-3).

    With ``S = p_i . p_j / temperature`` of the predictions scaled to length 1, and a row's similarity to itself left out,
    it is the mean over i of ``H(softmax_j(S_ij))``, in nats. It grows with n: compare it between equally many rows.

    Args:
        logits: (n, c).
        temperature: the lower, the fewer rows count as neighbours.
    """
    p = normalize(log_probabilities(logits).exp())
    similarity = p @ p.T / temperature
    # Not minus infinity, whose entropy term would be 0 x inf.
    similarity.fill_diagonal_(torch.finfo(similarity.dtype).min)
    return entropy_of(similarity.log_softmax(1)).mean()


def nuclear_norm(logits: Tensor) -> Tensor:
    """The nuclear norm of the predictions over its upper bound ``sqrt(n c)`` (Cui et al., CVPR 2020).

    1 where each is certain and all classes are as frequent, ``1 / sqrt(c)`` where all rows are certain of one class, ``1 / c``
    where all are uniform. It does not depend on how many rows there are. Musgrave et al. (2022) use it to validate.

    Args:
        logits: (n, c).
    """
    n, c = logits.shape
    return -losses.batch_nuclear_norm(logits) * math.sqrt(n / c)


class OfPredictions(Validator):
    """A measure of the target's predictions. Update with logits (n, c), which are kept."""

    logits: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("logits", [], dist_reduce_fx="cat")

    @staticmethod
    def measure(logits: Tensor) -> Tensor:
        """The measure of logits (n, c)."""
        raise NotImplementedError

    def update(self, logits: Tensor) -> None:
        """Keep a batch of target logits (n, c)."""
        self.logits.append(logits.detach())

    def compute(self) -> Tensor:
        """The measure over all rows kept."""
        return self.measure(dim_zero_cat(self.logits))


class Entropy(OfPredictions):
    """The mean entropy of the predictions, in nats: low where they are certain (Morerio et al., ICLR 2018, validate by it).

    Blind to collapse: a network that is certain of one class for every row has the best value there is.
    """

    label = "Entropy"
    higher_is_better = False
    measure = staticmethod(entropy)


UNITS = 2**36
"""The parts of one in which probabilities and nats are added up: rounding is below 1e-11, and 1e7 rows of any entropy do not overflow."""


class InformationMaximization(Validator):
    """:func:`information_maximization` as Musgrave et al. (2022) use it to validate, from exact sums: no row is kept.

    Blind to certain errors: rows of one class that are split over two look as good as those of two.

    Args:
        classes: the number of classes.
    """

    label = "IM"
    higher_is_better = True
    measure = staticmethod(information_maximization)
    mean: Tensor
    entropy: Tensor
    count: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        # Sums of whole numbers: the same in whatever order, and so in any number of processes.
        self.add_state("mean", torch.zeros(classes, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("entropy", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor) -> None:
        """Count a batch of target logits (n, c)."""
        p = logits.double().softmax(1)
        self.mean += _units(p).sum(0)
        self.entropy -= _units(torch.special.xlogy(p, p)).sum()
        self.count += len(p)

    def compute(self) -> Tensor:
        """The measure over all rows counted, in nats."""
        mean, entropy = (total.double() / UNITS / self.count for total in (self.mean, self.entropy))
        value: Tensor = -torch.special.xlogy(mean, mean).sum() - entropy
        return value


def _units(values: Tensor) -> Tensor:
    return (values * UNITS).round().long()


class SND(OfPredictions):
    """:func:`soft_neighborhood_density` of every k-th row, at most 2,000 of them.

    Blind to collapse: where all rows are predicted alike, all are neighbours, and the value is the best there is.
    """

    label = "SND"
    higher_is_better = True

    @staticmethod
    def measure(logits: Tensor) -> Tensor:
        """The density among every k-th of logits (n, c)."""
        return soft_neighborhood_density(thin(logits))


class BNM(OfPredictions):
    """:func:`nuclear_norm`. Blind to certain errors that leave all classes in use."""

    label = "BNM"
    higher_is_better = True
    measure = staticmethod(nuclear_norm)
