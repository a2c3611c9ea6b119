"""Validators that weigh the source's validation risk by how like the target its rows are."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from tlda.metrics.density_ratio import density_ratio
from tlda.metrics.validators.base import Validator, thin


def importance_weighted_risk(weights: Tensor, risk: Tensor) -> Tensor:
    """``mean(w l)``, the target's risk under covariate shift (IWCV, Sugiyama et al., JMLR 2007, on one held-out fold).

    Args:
        weights: the density ratio at each held-out source row, (n,).
        risk: the loss of each, (n,).
    """
    return (weights * risk).mean()


def deep_embedded_risk(weights: Tensor, risk: Tensor) -> Tensor:
    """``mean(w l) + eta (mean(w) - 1)`` with ``eta = -cov(w l, w) / var(w)``, 0 where var(w) is (DEV, You et al., ICML 2019, alg. 1).

    As the true weights have mean 1, their mean is a control variate that takes variance out of :func:`importance_weighted_risk`.

    Args:
        weights: the density ratio at each held-out source row, (n,).
        risk: the loss of each, (n,).
    """
    centred = weights - weights.mean()
    variance = centred.square().mean()
    eta = torch.where(variance > 0, -(centred * weights * risk).mean() / variance, 0.0)
    return importance_weighted_risk(weights, risk) + eta * (weights.mean() - 1.0)


def errors(logits: Tensor, labels: Tensor) -> Tensor:
    """1 where the prediction is wrong, else 0: (n, c) and (n,) to (n,)."""
    return (logits.argmax(1) != labels).float()


def weigh(source: list[Tensor], risk: list[Tensor], target: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The weights and the risks, (n,) each, of every k-th source row, at most 2,000 of each domain, from batches."""
    source_rows, risks, target_rows = (thin(dim_zero_cat(batches)) for batches in (source, risk, target))
    return density_ratio(source_rows, target_rows), risks


class WeightedRisk(Validator):
    """A measure of the source's held-out risk, weighted to the target, on every k-th row, at most 2,000 of each domain.

    Update with the features (n, d) and the risk (n,) of source rows (:func:`errors`, say), and with the features of target rows.
    Blind where the features tell the domains apart: all weights are near 0, and with them the risk. The control variate of
    DEV mends a part of that.
    """

    higher_is_better = False
    source: list[Tensor]
    risk: list[Tensor]
    target: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for state in ("source", "risk", "target"):
            self.add_state(state, [], dist_reduce_fx="cat")

    @staticmethod
    def measure(weights: Tensor, risk: Tensor) -> Tensor:
        """The measure of the weights (n,) and the risks (n,) of source rows."""
        raise NotImplementedError

    def update(self, features: Tensor, risk: Tensor | None = None) -> None:
        """Keep a batch: of the source where its ``risk`` is given, else of the target."""
        if risk is None:
            self.target.append(features.detach())
        else:
            self.source.append(features.detach())
            self.risk.append(risk.detach())

    def compute(self) -> Tensor:
        """The measure over every k-th row kept."""
        return self.measure(*weigh(self.source, self.risk, self.target))


class IWCV(WeightedRisk):
    """:func:`importance_weighted_risk`."""

    label = "IWCV"
    measure = staticmethod(importance_weighted_risk)


class DEV(WeightedRisk):
    """:func:`deep_embedded_risk`."""

    label = "DEV"
    measure = staticmethod(deep_embedded_risk)
