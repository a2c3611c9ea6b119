"""Virtual adversarial training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import kl_div, normalize

from tlda.nn.numerics import full_precision, log_probabilities


def vat(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    logits: Tensor | None = None,
    radius: float = 3.5,
    xi: float = 1e-2,
    power_iterations: int = 1,
) -> Tensor:
    r"""The change of predictions under the worst small perturbation, as mean KL in nats (Miyato et al., TPAMI 2018, sec. 3.2-3.3).

    .. math:: \frac{1}{n} \sum_i \mathrm{KL}\left(p(x_i) \,\Vert\, p(x_i + r_i)\right), \quad \lVert r_i \rVert = \epsilon

    BatchNorm's running statistics are the caller's matter: ``model`` is called ``power_iterations + 1`` times on perturbed
    inputs, each of which they would count. Dropout is best off, so that only the perturbation makes a difference.

    Args:
        model: maps inputs (n, ...) to logits (n, c).
        x: inputs, (n, ...).
        logits: ``model(x)``, where it is known already; they carry no gradient here.
        radius: the L2 norm of each row's perturbation, in the units of ``x`` (VADA: 3.5; Shu et al., ICLR 2018).
        xi: the L2 norm of the step at which the direction is found. The authors' 1e-6 is lost in float32: on a small
            convolutional network the direction then has a cosine of 0.6 with the true one, at 1e-2 one of 0.99.
        power_iterations: the refinements of a random direction.

    Example:
        >>> x = torch.randn(4, 3)
        >>> round(vat(lambda x: torch.zeros(len(x), 2) + 0.0 * x[:, :2], x).item(), 4)
        0.0
    """
    with torch.no_grad():
        reference = log_probabilities(model(x) if logits is None else logits)
    direction = _unit(torch.randn_like(x))
    for _ in range(power_iterations):
        step = (xi * direction).requires_grad_()
        (direction,) = torch.autograd.grad(_divergence(reference, model(x.detach() + step)), step)
        direction = _unit(direction)
    return _divergence(reference, model(x + radius * direction))


def _divergence(reference: Tensor, logits: Tensor) -> Tensor:
    return kl_div(log_probabilities(logits), reference, reduction="batchmean", log_target=True)


def _unit(direction: Tensor) -> Tensor:
    """Each row of ``direction`` (n, ...) at norm 1; 0 where it has none."""
    return normalize(full_precision(direction).flatten(1), dim=1).view_as(direction).to(direction)
