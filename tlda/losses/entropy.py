"""Entropy of predictions, and information maximization."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from tlda.batch import Output
from tlda.losses.base import Loss
from tlda.losses.numerics import log_probabilities


def entropy_of(log_p: Tensor) -> Tensor:
    """The entropy in nats over the last dimension of log-probabilities, (…, c) to (…)."""
    return -(log_p.exp() * log_p).sum(-1)


def entropy(logits: Tensor) -> Tensor:
    """The mean entropy of the predictions, in nats, (n, c) to a scalar (Grandvalet & Bengio, NeurIPS 2004)."""
    return entropy_of(log_probabilities(logits)).mean()


def information_maximization(logits: Tensor) -> Tensor:
    """The mean entropy less the entropy of the mean prediction: each certain, all diverse (Liang et al., ICML 2020, sec. 3.2).

    Its negative estimates the mutual information of input and prediction, in nats.

    Args:
        logits: (n, c).
    """
    log_p = log_probabilities(logits)
    # The mean in the log domain: a class that nobody predicts has a finite gradient.
    log_mean = log_p.logsumexp(0) - math.log(len(log_p))
    return entropy_of(log_p).mean() - entropy_of(log_mean)


class MinEnt(Loss):
    """:func:`entropy` of the predictions on the target."""

    def forward(self, batch: Any, source: Output, target: Output, progress: float) -> Tensor:
        return entropy(target.logits)


class InformationMaximization(Loss):
    """:func:`information_maximization` of the predictions on the target."""

    def forward(self, batch: Any, source: Output, target: Output, progress: float) -> Tensor:
        return information_maximization(target.logits)
