"""Entropy of predictions, and information maximization."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from tlda.batch import Batch, Output
from tlda.errors import UserError
from tlda.losses.base import Loss
from tlda.nn.numerics import log_probabilities


def entropy_of(log_p: Tensor) -> Tensor:
    """The entropy in nats over the last dimension of log-probabilities, (…, c) to (…)."""
    return -(log_p.exp() * log_p).sum(-1)


def entropy(logits: Tensor) -> Tensor:
    r"""The mean entropy of the predictions, in nats, (n, c) to a scalar (Grandvalet & Bengio, NeurIPS 2004, sec. 2).

    .. math:: \frac{1}{n} \sum_i H(p_i) = -\frac{1}{n} \sum_i \sum_j p_{ij} \log p_{ij}

    Example:
        >>> logits = torch.tensor([[0.0, 0.0], [99.0, 0.0]])
        >>> round(entropy(logits).item(), 4)
        0.3466
    """
    return entropy_of(log_probabilities(logits)).mean()


def information_maximization(logits: Tensor) -> Tensor:
    r"""The mean entropy less the entropy of the mean prediction: each certain, all diverse (Liang et al., ICML 2020, sec. 3.2).

    .. math:: \frac{1}{n} \sum_i H(p_i) - H(\bar{p}), \quad \bar{p} = \frac{1}{n} \sum_i p_i

    Its negative estimates the mutual information of input and prediction, in nats.

    Args:
        logits: (n, c).

    Example:
        >>> logits = torch.tensor([[99.0, 0.0], [0.0, 99.0]])
        >>> round(information_maximization(logits).item(), 4)
        -0.6931
    """
    log_p = log_probabilities(logits)
    # The mean in the log domain: a class that nobody predicts has a finite gradient.
    log_mean = log_p.logsumexp(0) - math.log(len(log_p))
    return entropy_of(log_p).mean() - entropy_of(log_mean)


def tsallis_entropy(logits: Tensor, alpha: float = 1.9, balanced: bool = False) -> Tensor:
    r"""The mean Tsallis entropy ``(1 - sum p^alpha) / (alpha - 1)`` of the predictions (Liu et al., NeurIPS 2021, sec. 3.2).

    .. math:: \frac{1}{n} \sum_i \frac{1 - \sum_j p_{ij}^{\alpha}}{\alpha - 1}

    Between Shannon's entropy, in nats, at 1 and the Gini impurity at 2: the larger, the less it hurries an uncertain
    prediction towards certainty.

    Args:
        logits: (n, c).
        alpha: the entropic index, at least 1.
        balanced: the form of the authors' code: the mean over classes, in each of which the rows weigh by their share of
            it and by their certainty, ``1 + exp(-H)``, so that a rare class counts as much as a frequent one.

    Raises:
        UserError: alpha is below 1, where the gradient at a certain prediction has no bound.

    Example:
        >>> logits = torch.zeros(3, 2)
        >>> round(tsallis_entropy(logits, alpha=2.0).item(), 4)
        0.5
    """
    if alpha < 1.0:
        raise UserError(f"tsallis_entropy has the alpha {alpha}: it is at least 1, where it is Shannon's entropy")
    log_p = log_probabilities(logits)
    # 1 - sum p^alpha is the sum of p (1 - p^(alpha - 1)), which keeps its digits where alpha is near 1.
    surprise = -log_p if alpha == 1.0 else torch.expm1((alpha - 1.0) * log_p) / (1.0 - alpha)
    if not balanced:
        return (log_p.exp() * surprise).sum(1).mean()
    certainty = torch.log1p(torch.exp(-entropy_of(log_p.detach())))
    return ((log_p + certainty.unsqueeze(1)).softmax(0) * surprise).sum(0).mean()


class MinEnt(Loss):
    """:func:`entropy` of the predictions on the target.

    Args:
        trade_off: the weight of the term.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, trade_off: float = 0.1) -> None:
        super().__init__(trade_off)

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return entropy(target.logits)


class InformationMaximization(Loss):
    """:func:`information_maximization` of the predictions on the target."""

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return information_maximization(target.logits)


class TsallisEntropy(Loss):
    """:func:`tsallis_entropy` of the predictions on the target, balanced over the classes as in the authors' code.

    Theirs is a sum over c classes, ours a mean: ``trade_off`` is c times theirs, so that both weights that they published
    (0.08 for 12 classes, 0.015 for 65) are 1.

    Args:
        trade_off: the weight of the term.
        alpha: the entropic index, at least 1.
        temperature: divides the logits.
        balanced: whether a rare class counts as much as a frequent one.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, trade_off: float = 1.0, alpha: float = 1.9, temperature: float = 2.0, balanced: bool = True) -> None:
        super().__init__(trade_off)
        self.alpha, self.temperature, self.balanced = alpha, temperature, balanced

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return tsallis_entropy(target.logits / self.temperature, self.alpha, self.balanced)
