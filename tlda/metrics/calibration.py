"""Calibration: the scales of logits under which a network's confidence is closest to how often it is right."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from tlda.errors import UserError

LIMITS = 1e-3, 1e3
"""The least and the greatest temperature."""

HALVINGS = 60
"""How often the bracket of a temperature is halved, on a logarithmic scale: to the precision of a double."""


PENALTY = 1e-4
"""What keeps the scales of :func:`vector_scaling` finite where the rows can be told apart."""


def temperature(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> float:
    """The temperature T that minimises the mean cross-entropy of softmax(logits / T): Guo et al., ICML 2017, sec. 4.2.

    In 1/T that is convex, and its derivative, the mean of E[z] - z_y under the softmax, has one root, which is found by halving.
    With ``weights`` that say how frequent a row is on the target, over the source, the mean is one of the target where only the inputs
    have moved (Park et al., AISTATS 2020).

    Args:
        logits: (n, classes).
        labels: (n,), -1 where there is none.
        weights: (n,), at least 0; all alike where there are none.

    Raises:
        UserError: no row has a label, or every one has its greatest logit at its label, so that no finite certainty is best.

    >>> round(temperature(torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 0, 0, 1])), 4)
    1.8205
    """
    logits, labels, share = _labelled(logits, labels, weights)
    right = logits.gather(1, labels[:, None])
    if bool((right >= logits).all()):
        raise UserError(f"all {len(labels)} held-out rows are answered rightly: no temperature is best; hold more out by --data.holdout")

    def slope(inverse: float) -> float:
        """The derivative of the cross-entropy by 1/T."""
        return float(((inverse * logits).softmax(1) * (logits - right)).sum(1) @ share)

    low, high = 1 / LIMITS[1], 1 / LIMITS[0]
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 1 / math.sqrt(low * high)


def vector_scaling(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A scale and a shift of each class's logit, (classes,) each, that minimise the mean cross-entropy: Guo et al., ICML 2017, sec. 4.2.

    ``logits * scale + shift`` may answer otherwise than ``logits``, as a temperature never does. The shifts are of mean 0,
    and a penalty of 1e-4 on the squared distance from ``logits`` keeps all finite where the rows can be told apart.

    Args:
        logits: (n, classes).
        labels: (n,), -1 where there is none.
        weights: (n,), see :func:`temperature`.

    Raises:
        UserError: no row has a label.

    Example:
        >>> scale, shift = vector_scaling(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1]))
        >>> round(float(shift.softmax(0)[0]), 2)
        0.75
    """
    from scipy.optimize import minimize

    logits, labels, share = (part.cpu() for part in _labelled(logits, labels, weights))
    right = one_hot(labels, logits.shape[1])

    def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The cross-entropy, penalised, and its gradient."""
        scale, shift = torch.from_numpy(x).chunk(2)
        chances = (logits * scale + shift).log_softmax(1)
        fault = (chances.exp() - right) * share[:, None]
        slope = torch.cat(((fault * logits).sum(0) + 2 * PENALTY * (scale - 1), fault.sum(0) + 2 * PENALTY * shift))
        value = -(chances * right).sum(1) @ share + PENALTY * ((scale - 1).square().sum() + shift.square().sum())
        return float(value), slope.numpy()

    start = torch.cat((torch.ones(logits.shape[1]), torch.zeros(logits.shape[1]))).double().numpy()
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000})
    scale, shift = torch.from_numpy(found.x).float().chunk(2)
    return scale, shift - shift.mean()


def _labelled(logits: Tensor, labels: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The logits, labels and shares, which sum to 1, of the rows that have a label."""
    known = labels >= 0
    if not bool(known.any()):
        raise UserError("no held-out row has a label, and confidence is measured on labels: hold some out by --data.holdout")
    share = torch.ones(len(labels), device=labels.device) if weights is None else weights
    share = share[known].double()
    return logits[known].double(), labels[known], share / share.sum()


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
