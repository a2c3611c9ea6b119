"""Maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tlda.batch import Batch, Output
from tlda.losses.base import Loss
from tlda.nn.numerics import feature_pair, option, squared_distances

Kernel = Literal["gaussian", "linear"]
Bandwidth = float | Literal["median", "mean"]

MULTIPLIERS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""The family of DAN's authors' code; their paper names 33 bandwidths, ``2 ** -8`` to ``2 ** 8`` in steps of ``2 ** 0.5``."""


def mmd(
    source: Tensor,
    target: Tensor,
    kernel: Kernel = "gaussian",
    multipliers: Sequence[float] = MULTIPLIERS,
    bandwidth: Bandwidth = "median",
    biased: bool = True,
) -> Tensor:
    r"""The squared distance of the domains' mean embeddings (Gretton et al., JMLR 2012, eq. 3 and 5; Long et al., ICML 2015, eq. 1).

    .. math:: \frac{1}{n^2} \sum_{i,i'} k(f_i, f_{i'}) + \frac{1}{m^2} \sum_{j,j'} k(g_j, g_{j'}) - \frac{2}{n m} \sum_{i,j} k(f_i, g_j)

    Args:
        source: features, (n, d).
        target: features, (m, d).
        kernel: ``gaussian`` is :func:`gaussian_kernel`; ``linear`` gives the squared distance of the means, as in DDC
            (Tzeng et al., 2014, eq. 1), and uses neither ``multipliers`` nor ``bandwidth``.
        multipliers: of the bandwidth; the kernels of all are summed.
        bandwidth: a number, in squared units of the features, or a statistic of the batch (DAN's paper has the
            ``median``, its authors' code the ``mean``).
        biased: eq. 5, never negative and 0 for identical inputs; otherwise eq. 3, which is 0 in expectation for one
            distribution, hence negative half of the time there, and needs two rows of each domain.

    Raises:
        UserError: the widths differ, or a domain has too few rows.

    Example:
        >>> source, target = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[1.0, 1.0], [3.0, 1.0]])
        >>> round(mmd(source, target, kernel="linear").item(), 4)
        2.0
    """
    source, target = feature_pair("mmd", source, target, least=1 if biased else 2)
    gaussian = partial(gaussian_kernel, multipliers=multipliers, bandwidth=bandwidth)
    kernels: dict[str, Callable[[Tensor], Tensor]] = {"gaussian": gaussian, "linear": linear_kernel}
    rows = torch.cat((source, target))
    return discrepancy(option("mmd", "kernel", kernel, kernels)(rows), len(source), biased)


def linear_kernel(rows: Tensor) -> Tensor:
    """The products of all pairs of centred rows, (n, d) to (n, n)."""
    # MMD does not move when all rows do, and centred rows keep their digits in the difference of the blocks.
    centred = rows - rows.detach().mean(0)
    return centred @ centred.T


def gaussian_kernel(rows: Tensor, multipliers: Sequence[float] = MULTIPLIERS, bandwidth: Bandwidth = "median") -> Tensor:
    """The sum over multipliers u of ``exp(-|x - y|^2 / (u * bandwidth))``, (n, d) to (n, n)."""
    distances = squared_distances(rows, rows)
    width = data_bandwidth(rows.detach(), distances.detach(), bandwidth) if isinstance(bandwidth, str) else bandwidth
    scaled = distances / width
    return torch.stack([(-scaled / multiplier).exp() for multiplier in multipliers]).sum(0)


def data_bandwidth(rows: Tensor, distances: Tensor, statistic: Literal["median", "mean"]) -> Tensor:
    """The (lower) median or the mean of the squared ``distances`` (n, n) of different ``rows`` (n, d): a scalar."""
    first, second = torch.triu_indices(len(rows), len(rows), offset=1, device=rows.device)
    statistics: dict[str, Callable[[Tensor], Tensor]] = {"median": torch.median, "mean": torch.mean}
    width = option("mmd", "bandwidth", statistic, statistics)(distances[first, second])
    # Where the rows are equal, distances are rounding noise; a bandwidth at the noise's size would blow it up to a gradient.
    resolution = torch.finfo(rows.dtype).eps * rows.abs().amax()
    return width.clamp_min(rows.shape[1] * resolution**2 + 1e-30)


def discrepancy(kernel: Tensor, num_source: int, biased: bool) -> Tensor:
    """The squared MMD from the kernel of all rows, source first, (n + m, n + m) to a scalar (Gretton et al., eq. 3 and 5)."""
    source, target = kernel[:num_source, :num_source], kernel[num_source:, num_source:]
    cross = kernel[:num_source, num_source:].mean()
    if biased:
        # Not negative but for rounding.
        return (source.mean() + target.mean() - 2.0 * cross).clamp_min(0.0)
    return _off_diagonal_mean(source) + _off_diagonal_mean(target) - 2.0 * cross


def _off_diagonal_mean(square: Tensor) -> Tensor:
    n = len(square)
    return (square.sum() - square.diagonal().sum()) / (n * (n - 1))


class MMD(Loss):
    """:func:`mmd` of the features.

    Args:
        trade_off: the weight of the term.
        kernel: ``gaussian`` or ``linear``.
        multipliers: of the bandwidth; the kernels of all are summed.
        bandwidth: a number, or ``median`` or ``mean`` of the batch's squared distances.
        biased: never negative; otherwise 0 in expectation for one distribution.
    """

    compares_domains: ClassVar[bool] = True
    compares_pairs: ClassVar[bool] = True

    def __init__(
        self,
        trade_off: float = 1.0,
        kernel: Kernel = "gaussian",
        multipliers: Sequence[float] = MULTIPLIERS,
        bandwidth: Bandwidth = "median",
        biased: bool = True,
    ) -> None:
        super().__init__(trade_off)
        self.kernel, self.multipliers, self.bandwidth, self.biased = kernel, multipliers, bandwidth, biased

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return mmd(source.features, target.features, self.kernel, self.multipliers, self.bandwidth, self.biased)
