"""Alignment of the spectra of two graphs (SPA)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tlda.batch import Batch, Output
from tlda.losses.base import Loss
from tlda.nn.numerics import feature_pair, spectrum


def laplacian_spectrum(features: Tensor) -> Tensor:
    r"""The eigenvalues, in rising order, of the normalised Laplacian of the graph of all rows, (n, d) to (n,).

    .. math:: L = I - D^{-1/2} A D^{-1/2}, \quad A_{ij} = e^{-\lVert f_i - f_j \rVert^2} \text{ of features of unit length}

    Example:
        >>> laplacian_spectrum(torch.tensor([[1.0, 0.0], [1.0, 0.0]])).abs().round().tolist()
        [0.0, 1.0]
    """
    unit = normalize(features, dim=1)
    affinity = (2 * (unit @ unit.T) - 2).exp()
    root = affinity.sum(1).rsqrt()
    one = torch.eye(len(features), dtype=features.dtype, device=features.device)
    return spectrum(torch.linalg.eigvalsh, one - root[:, None] * affinity * root)


def graph_spectra(source: Tensor, target: Tensor) -> Tensor:
    r"""The mean distance of the eigenvalues of both domains' graphs, in order (Xiao et al., NeurIPS 2023, eq. 3, p = 1).

    .. math:: \frac{1}{n} \sum_i \lvert \lambda^s_i - \lambda^t_i \rvert

    Args:
        source: features, (n, d), n >= 2.
        target: features, (n, d): as many, since eigenvalues are compared one by one.

    Example:
        >>> same, apart = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> round(graph_spectra(same, apart).item(), 4)
        0.482
    """
    source, target = feature_pair("graph_spectra", source, target, least=2)
    return (laplacian_spectrum(source) - laplacian_spectrum(target)).abs().mean()


class GraphSpectra(Loss):
    """:func:`graph_spectra` of the features of a batch.

    Args:
        trade_off: the weight of the term.
    """

    pairs_rows: ClassVar[bool] = True
    compares_domains: ClassVar[bool] = True
    compares_pairs: ClassVar[bool] = True

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return graph_spectra(source.features, target.features)
