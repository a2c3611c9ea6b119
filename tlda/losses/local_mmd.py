"""Local maximum mean discrepancy: class by class (DSAN)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tlda.batch import Output, Pair
from tlda.losses.base import Loss
from tlda.losses.mmd import gaussian_kernel
from tlda.nn.numerics import feature_pair


def local_mmd(source: Tensor, target: Tensor, labels: Tensor, probabilities: Tensor) -> Tensor:
    r"""The mean over classes of the squared distance of both domains' mean embeddings of the class (Zhu et al., TNNLS 2020, eq. 6).

    .. math::
        \frac{1}{c} \sum_k \left\lVert \sum_i w_{ik} \phi(f_i) - \sum_j v_{jk} \phi(g_j) \right\rVert^2, \quad \sum_i w_{ik} = \sum_j
        v_{jk} = 1

    A source row is of its class, a target row of all, by its probabilities. As in the authors' code, classes are those that both domains
    have in the batch, in the target as the likeliest of a row, and five bandwidths are about the mean distance. 0 where there is none.

    Args:
        source: features, (n, d).
        target: features, (m, d).
        labels: of the source's rows, (n,); -1 for none.
        probabilities: of the target's rows, (m, c), without a gradient.

    Example:
        >>> x = torch.tensor([[0.0], [3.0]])
        >>> local_mmd(x, x, torch.tensor([0, 1]), torch.eye(2)).item()
        0.0
    """
    source, target = feature_pair("local_mmd", source, target)
    classes = probabilities.shape[1]
    own, theirs = one_hot(labels + 1, classes + 1)[:, 1:].to(source), probabilities.detach().to(source)
    both = own.any(0) & one_hot(theirs.argmax(1), classes).any(0)
    # The weight of each row in the mean of each class: negative for the target's, so that one product gives all blocks.
    weights = torch.cat([part[:, both] / part[:, both].sum(0) * sign for part, sign in ((own, 1.0), (theirs, -1.0))])
    kernel = gaussian_kernel(torch.cat((source, target)), bandwidth="mean")
    return ((weights @ weights.T) * kernel).sum() / both.sum().clamp_min(1)


class LocalMMD(Loss):
    """:func:`local_mmd` of the features, with the weight ``2 / (1 + exp(-10 progress)) - 1``, from 0 to 1.

    Args:
        trade_off: the weight of the term at the end of the run.
    """

    reads_classes: ClassVar[bool] = True
    compares_domains: ClassVar[bool] = True
    compares_pairs: ClassVar[bool] = True

    def forward(self, batch: Pair, source: Output, target: Output, progress: float) -> Tensor:
        weight = 2 / (1 + math.exp(-10 * progress)) - 1
        return weight * local_mmd(source.features, target.features, batch.source.y, target.logits.softmax(1))
