"""How frequent the classes are on a target without labels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


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
    weights = torch.linalg.lstsq(joint, class_shares(target_predicted, num_classes)[:, None], driver="gelsd").solution[:, 0]
    shares = (weights * joint.sum(0)).clamp_min(0.0)
    return LabelShift(shares / shares.sum(), float(torch.linalg.cond(joint)))


def class_shares(classes: Tensor, num_classes: int) -> Tensor:
    """How frequent each class is, (n,) to (c,)."""
    return torch.bincount(classes, minlength=num_classes).double() / len(classes)


def joint_shares(first: Tensor, second: Tensor, num_classes: int) -> Tensor:
    """How frequent each pair of classes is, (n,) and (n,) to (c, c)."""
    return class_shares(first * num_classes + second, num_classes**2).view(num_classes, num_classes)
