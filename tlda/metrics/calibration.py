"""Calibration: the temperature under which a network's confidence is closest to how often it is right."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tlda.errors import UserError

LIMITS = 1e-3, 1e3
"""The least and the greatest temperature."""

HALVINGS = 60
"""How often the bracket of a temperature is halved, on a logarithmic scale: to the precision of a double."""


def temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature T that minimises the mean cross-entropy of softmax(logits / T): Guo et al., ICML 2017, sec. 4.2.

    In 1/T that is convex, and its derivative, the mean of E[z] - z_y under the softmax, has one root, which is found by halving.

    Args:
        logits: (n, classes).
        labels: (n,), -1 where there is none.

    Raises:
        UserError: no row has a label, or every one has its greatest logit at its label, so that no finite certainty is best.

    >>> round(temperature(torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 0, 0, 1])), 4)
    1.8205
    """
    logits, labels = logits[labels >= 0].double(), labels[labels >= 0]
    if not len(labels):
        raise UserError("no held-out row has a label, and a temperature is measured on labels: hold some out by --data.holdout")
    right = logits.gather(1, labels[:, None])
    if bool((right >= logits).all()):
        raise UserError(f"all {len(labels)} held-out rows are answered rightly: no temperature is best; hold more out by --data.holdout")

    def slope(inverse: float) -> float:
        """The derivative of the cross-entropy by 1/T."""
        return float(((inverse * logits).softmax(1) * (logits - right)).sum(1).mean())

    low, high = 1 / LIMITS[1], 1 / LIMITS[0]
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 1 / math.sqrt(low * high)


def calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """The expected calibration error: the mean distance of confidence and accuracy over ``bins`` of equal width, weighted by their rows.

    Naeini et al., AAAI 2015. ``logits`` (n, classes), ``labels`` (n,), all known; the error is in 0..1.

    >>> calibration_error(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    0.0
    """
    confidence, answer = logits.double().softmax(1).max(1)
    wrong = confidence - (answer == labels).double()
    which = (confidence * bins).ceil().long().clamp(1, bins) - 1
    return float(torch.zeros(bins, dtype=torch.double).index_add(0, which.cpu(), wrong.cpu()).abs().sum() / len(labels))
