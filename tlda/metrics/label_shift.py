"""How frequent the classes are on a target without labels, and what each weighs for it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Vector = NDArray[np.float64]

SMOOTH = 1e-16
"""Under the root of a norm, so that it has a gradient at 0."""


class LabelShift(NamedTuple):
    """The target's class shares (c,) as estimated, and the condition number of what was inverted: near 1 is good, beyond 100 not."""

    shares: Tensor
    condition: float


def label_shift(source_labels: Tensor, source_predicted: Tensor, target_predicted: Tensor, num_classes: int) -> LabelShift:
    """The class shares of the target by black-box shift estimation (BBSE, Lipton et al., ICML 2018, sec. 4).

    ``w = C^-1 mu`` with ``C_ij = P(predicted i, class j)`` on held-out source rows and ``mu_i = P(predicted i)`` on the target; the
    shares are ``w_j P(class j)`` on the source, without what is negative, scaled to sum to 1. It holds where the classes look
    alike in both domains and only their shares differ. Of a singular ``C`` the least-squares solution of least norm is taken.

    Args:
        source_labels: the classes of held-out source rows, (n,).
        source_predicted: what they are predicted as, (n,).
        target_predicted: what the target's rows are predicted as, (m,).
        num_classes: c.
    """
    joint = joint_shares(source_predicted, source_labels, num_classes)
    shares = (_solved(joint, class_shares(target_predicted, num_classes)) * joint.sum(0)).clamp_min(0.0)
    return LabelShift(shares / shares.sum(), float(torch.linalg.cond(joint)))


def class_shares(classes: Tensor, num_classes: int) -> Tensor:
    """How frequent each class is, (n,) to (c,)."""
    return torch.bincount(classes, minlength=num_classes).double() / len(classes)


def joint_shares(first: Tensor, second: Tensor, num_classes: int) -> Tensor:
    """How frequent each pair of classes is, (n,) and (n,) to (c, c)."""
    return class_shares(first * num_classes + second, num_classes**2).view(num_classes, num_classes)


def class_weights(joint: Tensor, target: Tensor) -> Tensor:
    """The weight of each class on the target over the source, (c,), by :func:`label_shift`'s equation; not below 0.

    A class that no source row has keeps the weight 1.

    Args:
        joint: how frequent each predicted class is with each class on held-out source rows, (c, c), as :func:`joint_shares` counts them.
        target: how frequent each class is predicted on the target, (c,).
    """
    return torch.where(joint.sum(0) > 0, _solved(joint, target).clamp_min(0.0), 1.0)


def _solved(joint: Tensor, target: Tensor) -> Tensor:
    """The solution (c,) of ``joint w = target``, of a singular ``joint`` that of least squares and least norm."""
    solution: Tensor = torch.linalg.lstsq(joint, target[:, None], driver="gelsd").solution[:, 0]
    return solution


def regularized_class_weights(joint: Tensor, target: Tensor, rows: int, strength: float = 0.01, delta: float = 0.05) -> Tensor:
    r"""The weight of each class, (c,), as a difference from 1 that is kept small (RLLS, Azizzadenesheli et al., ICLR 2019, sec. 3).

    .. math:: 1 + \arg\min_{\theta \ge -1} \lVert C \theta - (\mu - C 1) \rVert_2 + \rho \lVert \theta \rVert_2, \quad
        \rho = 3 a \Big( \frac{2 \log (2 c / \delta)}{3 n} + \sqrt{\frac{2 \log (2 c / \delta)}{n}} \Big)

    Neither norm is squared: where the evidence is weak all weights are 1.

    Args:
        joint: as :func:`class_weights` takes it.
        target: how frequent each class is predicted on the target, (c,).
        rows: the number of held-out source rows, n.
        strength: the factor a of the bound on the error of ``joint``.
        delta: the probability that the bound does not hold.
    """
    from scipy.optimize import minimize

    bound = 2 * math.log(2 * len(joint) / delta) / rows
    rho, c = 3 * strength * (bound / 3 + math.sqrt(bound)), joint.double().numpy()
    b = target.double().numpy() - c.sum(1)

    def objective(theta: Vector) -> tuple[float, Vector]:
        left = c @ theta - b
        norms = [float((part @ part + SMOOTH) ** 0.5) for part in (left, theta)]
        return norms[0] + rho * norms[1], c.T @ left / norms[0] + rho * theta / norms[1]

    found = minimize(objective, 0.0 * b, jac=True, bounds=[(-1.0, None)] * len(b), method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9})
    return 1.0 + torch.from_numpy(found.x).to(joint)


def maximum_likelihood_shares(probabilities: Tensor, source: Tensor, steps: int = 1000, tolerance: float = 1e-9) -> Tensor:
    r"""The class shares of the target, (c,), under which its predictions are likeliest (Saerens et al., Neural Computation 2002, eq. 2.9).

    .. math:: q \leftarrow \frac{1}{m} \sum_i \frac{p_i \odot q / s}{\langle p_i, q / s \rangle}

    It trusts the predictions as probabilities of the source, so that a network that is too certain misleads it.

    Args:
        probabilities: the predictions for the target, (m, c), made under the source's shares.
        source: the class shares of the source, (c,), each above 0.
        steps: how often at most the shares are re-estimated.
        tolerance: the change of the shares at which it ends.
    """
    p, source = probabilities.double(), source.double().to(probabilities.device)
    shares = source
    for _ in range(steps):
        weighted = p * (shares / source)
        found = (weighted / weighted.sum(1, keepdim=True)).mean(0)
        change, shares = float((found - shares).abs().max()), found
        if change < tolerance:
            break
    return shares
