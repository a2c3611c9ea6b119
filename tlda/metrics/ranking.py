"""Which pretrained network will transfer best? Scores from one pass over labelled rows, without training: larger is better.

Each takes plain arrays or tensors: ``features`` (n, d), or the ``probabilities`` (n, z) that the network gives its own source classes,
and the ``labels`` (n,) of the task.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import one_hot

from tlda.errors import UserError

Array = Tensor | ArrayLike
"""A tensor, a numpy array, or nested lists of numbers."""

STEPS = 500
"""The most steps of LogME's fixed point, which needs a dozen as a rule."""


def logme(features: Array, labels: Array) -> float:
    """The log of the maximum evidence a row, averaged over one linear model a class (LogME, You et al., ICML 2021, eq. 2 and alg. 1).

    Of each class against the others, ``y = F w + e`` with ``w ~ N(0, 1 / alpha)`` and ``e ~ N(0, 1 / beta)`` has the evidence ``n/2 log
    beta + d/2 log alpha - n/2 log 2 pi - beta/2 |F m - y|^2 - alpha/2 m'm - 1/2 log|A|``, ``A = alpha I + beta F'F``, ``m = beta A^-1
    F'y``. ``alpha`` and ``beta`` are its maximum, by MacKay's fixed point on the singular values of F.

    Raises:
        UserError: shapes that do not belong together, or one class.
    """
    f, y = _checked("logme", features, labels)
    left, values, _ = torch.linalg.svd(f, full_matrices=False)
    targets = one_hot(y).double()
    projected = (left.T @ targets).square()  # (k, classes)
    outside = (targets.square().sum(0) - projected.sum(0)).clamp_min(0.0)
    alpha, beta = _precisions(values.square()[:, None], projected, outside, len(f))
    return float(_evidence(values.square()[:, None], projected, outside, f.shape, alpha, beta).mean() / len(f))


def _precisions(values: Tensor, projected: Tensor, outside: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The fixed point of ``alpha`` and ``beta`` of every class, each (classes,)."""
    alpha = beta = torch.ones_like(outside)
    smallest = torch.finfo(outside.dtype).eps
    for _ in range(STEPS):
        shrunk = alpha + beta * values
        effective = (beta * values / shrunk).sum(0)
        weights = (beta**2 * values * projected / shrunk**2).sum(0)
        residual = (alpha**2 * projected / shrunk**2).sum(0) + outside
        new = effective / weights.clamp_min(smallest), (n - effective) / residual.clamp_min(smallest)
        moved = max(float((new[i] / old - 1.0).abs().max()) for i, old in enumerate((alpha, beta)))
        alpha, beta = new
        if moved < 1e-6:
            break
    return alpha, beta


def _evidence(values: Tensor, projected: Tensor, outside: Tensor, shape: torch.Size, alpha: Tensor, beta: Tensor) -> Tensor:
    n, d = shape
    shrunk = alpha + beta * values
    residual = (alpha**2 * projected / shrunk**2).sum(0) + outside
    weights = (beta**2 * values * projected / shrunk**2).sum(0)
    determinant = shrunk.log().sum(0) + (d - len(values)) * alpha.log()
    scale = n * beta.log() + d * alpha.log() - n * torch.log(torch.tensor(2.0 * torch.pi))
    return (scale - beta * residual - alpha * weights - determinant) / 2.0


def leep(probabilities: Array, labels: Array) -> float:
    """The log expected empirical prediction (LEEP, Nguyen et al., ICML 2020, eq. 2): at most 0.

    ``1/n sum_i log sum_z P(y_i|z) p_iz`` with ``P(y|z)`` from the empirical joint ``P(y, z) = 1/n sum_{i: y_i = y} p_iz``.

    Raises:
        UserError: shapes that do not belong together, or rows that are no probabilities.
    """
    p, y = _checked("leep", probabilities, labels)
    _require_probabilities("leep", p)
    joint = one_hot(y).double().T @ p  # (classes, z)
    conditional = joint / joint.sum(0).clamp_min(torch.finfo(p.dtype).tiny)
    return float((p * conditional[y]).sum(1).log().mean())


def nce(probabilities: Array, labels: Array) -> float:
    """The negative conditional entropy of the labels given the source class (NCE, Tran et al., ICCV 2019, eq. 7): ``-H(Y|Z)``, at most 0.

    Args:
        probabilities: (n, z), of which the largest is the row's source class; or the source classes themselves, (n,).
        labels: (n,).

    Raises:
        UserError: shapes that do not belong together.
    """
    given = torch.as_tensor(probabilities)
    source = given[:, None] if given.ndim == 1 else given
    checked, y = _checked("nce", source, labels)
    z = checked[:, 0].long() if given.ndim == 1 else checked.argmax(1)
    joint = one_hot(y).double().T @ one_hot(z).double() / len(y)
    # x log x of 0 is 0.
    return float(torch.special.entr(joint.sum(0)).sum() - torch.special.entr(joint).sum())


def h_score(features: Array, labels: Array, shrinkage: float | None = None) -> float:
    """How much of the features' variance lies between the classes (H-score, Bao et al., ICIP 2019, def. 2; Ibrahim et al., ECML 2022).

    ``tr(C^-1 B)``, C the covariance of the features and B that of the means of their classes. Of few rows or many features C is
    not to be inverted; the second paper's form is ``(1 - s) tr(((1 - s) C + s mean(diag C) I)^-1 B)``.

    Args:
        features: (n, d).
        labels: (n,).
        shrinkage: s, in 0..1; 0 is the first paper's, by a pseudo-inverse. By default that of Ledoit & Wolf (2004).

    Raises:
        UserError: shapes that do not belong together, one class, or a shrinkage outside of 0..1.
    """
    f, y = _checked("h_score", features, labels)
    if shrinkage is not None and not 0.0 <= shrinkage <= 1.0:
        raise UserError(f"h_score's shrinkage is {shrinkage}: it is a share, between 0 and 1")
    s = _ledoit_wolf(f) if shrinkage is None else shrinkage
    members = one_hot(y).double()
    centred = f - f.mean(0)
    means = members @ ((members.T @ centred) / members.sum(0).clamp_min(1.0)[:, None])
    within = centred.T @ centred / len(f)
    shrunk = (1.0 - s) * within + s * within.diagonal().mean() * torch.eye(f.shape[1], dtype=f.dtype)
    between = means.T @ means / len(f)
    solved = torch.linalg.solve(shrunk, between) if s > 0 else torch.linalg.pinv(shrunk, hermitian=True) @ between
    return float((1.0 - s) * solved.trace())


def _ledoit_wolf(features: Tensor) -> float:
    from sklearn.covariance import ledoit_wolf_shrinkage

    return float(ledoit_wolf_shrinkage(features.numpy()))


def transrate(features: Array, labels: Array, epsilon: float = 1e-4) -> float:
    """The mutual information of features and labels, by coding rates (TransRate, Huang et al., ICML 2022, eq. 5 and 6).

    ``R(F) - sum_c n_c/n R(F_c)`` of features of mean 0, with ``R(F) = 1/2 log det(I + F'F / (n epsilon))``. The paper has classes of
    one size, for which its mean over classes is this.

    Args:
        features: (n, d). Their scale matters beside ``epsilon``: the paper takes networks of one width and normalisation.
        labels: (n,).
        epsilon: the squared distortion that the code allows.

    Raises:
        UserError: shapes that do not belong together, one class, or no positive ``epsilon``.
    """
    f, y = _checked("transrate", features, labels)
    if not epsilon > 0:
        raise UserError(f"transrate's epsilon is {epsilon}: it must be above 0")
    centred = f - f.mean(0)
    classes = [centred[y == c] for c in range(int(y.max()) + 1)]
    return _coding_rate(centred, epsilon) - sum(len(rows) / len(f) * _coding_rate(rows, epsilon) for rows in classes)


def _coding_rate(rows: Tensor, epsilon: float) -> float:
    # Of the two products with one determinant, the smaller.
    product = rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T
    eye = torch.eye(len(product), dtype=rows.dtype)
    return float(torch.linalg.slogdet(eye + product / (len(rows) * epsilon)).logabsdet / 2.0)


def _checked(score: str, rows: Any, labels: Array) -> tuple[Tensor, Tensor]:
    """The rows (n, d) in float64 and their classes (n,), both on the CPU, the classes without gaps."""
    x, y = torch.as_tensor(rows).detach().cpu(), torch.as_tensor(labels).detach().cpu()
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):
        raise UserError(f"{score} takes rows (n, d) and their labels (n,); got {tuple(x.shape)} and {tuple(y.shape)}")
    classes, y = torch.unique(y, return_inverse=True) if not y.is_floating_point() else (y[:0], y)
    if len(classes) < 2:
        raise UserError(
            f"{score} needs whole numbers of at least two classes as labels; got {len(classes)} in {torch.as_tensor(labels).dtype}"
        )
    if not bool(torch.isfinite(x.double()).all()):
        raise UserError(f"{score} got rows that are not finite: leave them out, or look at what made them")
    return x.double(), y


def _require_probabilities(score: str, rows: Tensor) -> None:
    if bool((rows < 0).any()) or not torch.allclose(rows.sum(1), torch.ones(len(rows), dtype=rows.dtype), atol=1e-3):
        raise UserError(f"{score} takes probabilities, rows in 0..1 that sum to 1; take the softmax of logits first")
