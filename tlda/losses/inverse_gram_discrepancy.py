"""The distance of inverse Gram matrices, on which the best linear regression of each domain depends."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, pad

from tlda.batch import Batch, Output
from tlda.losses.base import Loss
from tlda.nn.numerics import feature_pair, numerical_rank, thin_svd


class Discrepancy(NamedTuple):
    """Both parts of DARE-GRAM, each a scalar: the mean of ``1 - cosine`` over the columns, and the distance of the leading eigenvalues."""

    angle: Tensor
    scale: Tensor


def inverse_gram_discrepancy(source: Tensor, target: Tensor, threshold: float = 0.99) -> Discrepancy:
    r"""Compare the pseudo-inverses of the domains' Gram matrices, and their leading eigenvalues (Nejjar et al., CVPR 2023).

    .. math:: 1 - \frac{1}{d + 1} \sum_j \cos\left(G^{+}_{s,j}, G^{+}_{t,j}\right), \quad \frac{1}{k} \lVert \lambda_s - \lambda_t \rVert

    A Gram matrix is that of the features with a column of ones for the intercept. ``k`` leading eigenvalues are kept in both domains, the
    larger number of the two, counted as the authors' code does: one fewer than there are eigenvalues up to which the fraction of the sum is
    at most the threshold, and at least one. Unlike there, the gradient is that of the kept part, also where the others are not zero.

    Args:
        source: features, (n, d).
        target: features, (m, d).
        threshold: the fraction of the sum of the eigenvalues, 0 to 1.

    Returns:
        the angle, ``mean(1 - cos)`` over the d + 1 columns, and the scale, the Euclidean distance of the ``k`` eigenvalues over ``k``.

    Raises:
        UserError: the widths differ.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
        >>> [round(part.item(), 4) for part in inverse_gram_discrepancy(features, 2 * features)]
        [0.0487, 15.707]
    """
    source, target = feature_pair("inverse_gram_discrepancy", source, target)
    values, vectors = zip(*(thin_svd(pad(x, (1, 0), value=1.0))[1:] for x in (source, target)), strict=True)
    kept = max(_count(x, threshold) for x in values)
    kept = min(kept, *map(numerical_rank, values))
    inverses = [_inverse(x[:kept], v[:, :kept]) for x, v in zip(values, vectors, strict=True)]
    angle = 1.0 - cosine_similarity(inverses[0], inverses[1], dim=0, eps=1e-6).mean()
    scale = torch.linalg.vector_norm(values[0][:kept].square() - values[1][:kept].square()) / kept
    return Discrepancy(angle.clamp_min(0.0).to(source.dtype), scale.to(source.dtype))


def _inverse(values: Tensor, vectors: Tensor) -> Tensor:
    """The pseudo-inverse (d, d) of the Gram matrix of features with ``values`` (k,) and ``vectors`` (d, k); its largest entry is 1."""
    # In units of its own: features of size 10 have an inverse whose columns are shorter than the floor of a cosine's denominator.
    inverse = (vectors * (values.detach()[-1] / values).square()) @ vectors.mT
    return inverse / inverse.detach().abs().amax()


def _count(values: Tensor, threshold: float) -> int:
    """Count the eigenvalues, squares of descending singular ``values``, that are kept at a ``threshold``."""
    eigenvalues = values.detach().square()
    shares = eigenvalues.cumsum(0) / eigenvalues.sum()
    return max(1, int((shares <= threshold).sum()) - 1)


class DAREGRAM(Loss):
    """The weighted sum of both parts of :func:`inverse_gram_discrepancy` of the features.

    Args:
        trade_off: the weight of the term.
        angle: the weight of the cosines of the inverse matrices within it.
        scale: the weight of the distance of the eigenvalues within it.
        threshold: the fraction of the sum of the eigenvalues that decides how many are kept.
    """

    compares_domains: ClassVar[bool] = True

    def __init__(self, trade_off: float = 1.0, angle: float = 0.05, scale: float = 0.001, threshold: float = 0.99) -> None:
        super().__init__(trade_off)
        self.angle, self.scale, self.threshold = angle, scale, threshold

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        found = inverse_gram_discrepancy(source.features, target.features, self.threshold)
        return self.angle * found.angle + self.scale * found.scale
