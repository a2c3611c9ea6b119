"""How frequent an input is on the target, over the source: by a classifier of the domains, or by kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import LBFGS

from tlda.nn.numerics import feature_pair

CENTRES = 100
"""The most kernels of a density ratio, around every k-th row of the target."""

WIDTHS, RIDGES = (0.25, 0.5, 1.0, 2.0, 4.0), (0.001, 0.01, 0.1, 1.0)
"""What is tried of the width of kernels, over the median distance of the centres, and of uLSIF's penalty."""

Solve = Callable[[Tensor, Tensor, float], Tensor]
Judge = Callable[[Tensor, Tensor], Tensor]

PENALTY = 0.1
"""The inverse of the log ratio's variance under the prior: of 0.003 to 3, what came nearest to the known ratios of Gaussians."""


def density_ratio(source: Tensor, target: Tensor, penalty: float = PENALTY) -> Tensor:
    """The density of the target over that of the source at each source row, (n,) (Bickel et al., JMLR 2009).

    ``n / m * P(target | x) / P(source | x)`` of an L2-regularised logistic regression on all rows, each feature at mean 0 and
    variance 1. The penalty is ``penalty * d / 2 * |w|^2`` beside the summed loss: the prior variance of the log ratio is
    ``1 / penalty``, however wide the features. The rows that are weighed are those that were fitted: rows that were not get
    weights that explode where d is near n.

    Args:
        source: features (n, d).
        target: features (m, d).
        penalty: the inverse of the prior variance of the log ratio.
    """
    source, target = feature_pair("density_ratio", source, target)
    rows = torch.cat((source, target))
    if not bool(rows.isfinite().all()):
        return source.new_full((len(source),), math.nan)  # no regression fits them, and whoever trains says why
    deviation, mean = torch.std_mean(rows, 0, correction=0)
    # A constant feature has a deviation of rounding errors, which must not be scaled up.
    constant = deviation <= torch.finfo(rows.dtype).eps * mean.abs()
    rows = (rows - mean) / deviation.masked_fill(constant, math.inf)
    is_target = (torch.arange(len(rows), device=rows.device) >= len(source)).to(rows)
    log_odds = _logistic_regression(rows, is_target, penalty * rows.shape[1] / len(rows))[: len(source)]
    return (log_odds + math.log(len(source) / len(target))).exp()


def _logistic_regression(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """The fitted log odds (n,) of ``y`` = 1: of the mean loss and ``penalty / 2 * |w|^2`` without the intercept."""
    x = torch.cat((x, torch.ones_like(x[:, :1])), 1)
    ridge = torch.full_like(x[0], penalty)
    ridge[-1] = 0.0
    w = torch.zeros_like(x[0])
    optimizer = LBFGS([w], max_iter=200, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        log_odds = x @ w
        # By hand: a trainer validates in inference mode, where nothing records a gradient.
        w.grad = (log_odds.sigmoid() - y) @ x / len(x) + ridge * w
        return binary_cross_entropy_with_logits(log_odds, y) + 0.5 * (ridge * w * w).sum()

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return x @ w


def standardised(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (n, d) and (m, d) of which each number has the mean 0 and the deviation 1 over both."""
    rows = torch.cat((source, target)).double()
    deviation, mean = torch.std_mean(rows, 0, correction=0)
    rows = (rows - mean) / deviation.masked_fill(deviation <= 1e-12 * (1 + mean.abs()), math.inf)
    return rows[: len(source)], rows[len(source) :]


def kernels(rows: Tensor, centres: Tensor, width: float) -> Tensor:
    """Gaussian kernels, (n, k), of a ``width``."""
    return (-torch.cdist(rows, centres).square() / (2 * width**2)).exp()


def ulsif_weights(source: Tensor, target: Tensor, ridge: float) -> Tensor:
    """The weights (k,) of kernels in uLSIF's ratio: ``(H + ridge I)^-1 h``, none below 0 (Kanamori et al., JMLR 2009, eq. 8 and 9).

    Args:
        source: the kernels at the source's rows, (n, k).
        target: the kernels at the target's rows, (m, k).
        ridge: the penalty of the squared weights.
    """
    h = source.T @ source / len(source)
    found: Tensor = torch.linalg.solve(h + ridge * torch.eye(len(h)).to(h), target.mean(0)).clamp_min(0.0)
    return found


def kliep_weights(source: Tensor, target: Tensor, steps: int = 500) -> Tensor:
    """The weights (k,) of kernels in KLIEP's ratio: of the greatest likelihood on the target, of mean 1 on the source.

    The problem (Sugiyama et al., 2008) is concave; multiplicative steps keep the constraint and never lower the likelihood.

    Args:
        source: the kernels at the source's rows, (n, k).
        target: the kernels at the target's rows, (m, k).
        steps: how many are made.
    """
    scale = source.mean(0).clamp_min(1e-300)
    shares = torch.full_like(scale, 1 / len(scale))  # of the constraint: each weight times its kernel's mean on the source
    scaled = target / scale
    for _ in range(steps):
        shares = shares * (scaled / (scaled @ shares).clamp_min(1e-300)[:, None]).mean(0)
    return shares / scale


def kernel_ratio(source: Tensor, target: Tensor, settings: Sequence[tuple[float, float]], solve: Solve, loss: Judge) -> Tensor:
    """A density ratio of kernels at the source's rows, (n,), by the setting with the least ``loss`` in two-fold cross-validation.

    Args:
        source: rows (n, d).
        target: rows (m, d).
        settings: the widths over the median distance of the centres, each with a penalty.
        solve: the weights (k,) of kernels (n, k) and (m, k) and a penalty.
        loss: what a ratio at held-out rows of the source and of the target costs.
    """
    source, target = standardised(*feature_pair("kernel_ratio", source, target))
    centres = target[:: math.ceil(len(target) / CENTRES)]
    unit = float(torch.pdist(centres).median()) if len(centres) > 1 else 1.0

    def judged(width: float, ridge: float) -> float:
        near, far = (kernels(rows, centres, (unit or 1.0) * width) for rows in (source, target))
        folds = [(near[k::2], far[k::2]) for k in range(2)]
        found = [solve(*fitted, ridge) for fitted in folds]
        return sum(float(loss(a @ weights, b @ weights)) for (a, b), weights in zip(folds[::-1], found, strict=True))

    width, ridge = min(settings, key=lambda setting: judged(*setting))
    near, far = (kernels(rows, centres, (unit or 1.0) * width) for rows in (source, target))
    return (near @ solve(near, far, ridge)).float()


def ulsif(source: Tensor, target: Tensor) -> Tensor:
    """The density ratio at the source's rows, (n,), of least squared error (Kanamori et al., JMLR 2009).

    Args:
        source: rows (n, d).
        target: rows (m, d).
    """
    settings = [(width, ridge) for width in WIDTHS for ridge in RIDGES]
    return kernel_ratio(source, target, settings, ulsif_weights, lambda s, t: s.square().mean() / 2 - t.mean())


def kliep(source: Tensor, target: Tensor) -> Tensor:
    """The density ratio at the source's rows, (n,), of the greatest likelihood on the target (Sugiyama et al., 2008).

    Args:
        source: rows (n, d).
        target: rows (m, d).
    """
    settings = [(width, 0.0) for width in WIDTHS]
    return kernel_ratio(source, target, settings, lambda s, t, _: kliep_weights(s, t), lambda s, t: -t.clamp_min(1e-12).log().mean())


RATIOS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"classifier": density_ratio, "ulsif": ulsif, "kliep": kliep}
"""The estimators by name."""
