"""Weightings of the losses of several tasks, one small class each.

Most weigh the losses. Those that look at the tasks' gradients on the shared parameters weigh these instead: every combined gradient of the
field lies in the span of the tasks' own, so the table of their dot products is all that such a weighting needs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tlda.options.recorded import Recorded


class Weighting(Recorded, nn.Module):
    """The base of every weighting: equal weights, unless a subclass says otherwise.

    :meth:`build` tells it the number of tasks; :meth:`forward` gives the losses (t,), weighted, whose sum is minimised. Where
    ``gradients`` is not ``none``, :meth:`coefficients` is called first, with the dot products (t, t) of the tasks' gradients there. What
    is random is drawn from its ``generator``, which is seeded before each batch, alike in all processes.
    """

    gradients: str = "none"
    """The shared parameters whose gradients it asks for: ``none``, ``last`` (those of the last shared layer) or ``all``."""

    def build(self, num_tasks: int) -> None:
        """Make what it keeps, for ``num_tasks`` tasks."""
        self.num_tasks = num_tasks
        # Not the global one, which is another in each process, as dropout's noise is.
        self.generator = torch.Generator()

    def forward(self, losses: Tensor) -> Tensor:
        """The weighted losses, (t,) to (t,)."""
        return losses

    def observe(self, losses: Tensor) -> None:
        """See the losses (t,) of a step, without gradient, the same in every process, before they are weighted."""

    def coefficients(self, products: Tensor, losses: Tensor) -> Tensor:
        """The factor of each task's gradient on the shared parameters, (t,), given all dot products (t, t) and losses (t,)."""
        return torch.ones_like(losses)

    def end_epoch(self) -> None:
        """Called after each epoch."""


class Equal(Weighting):
    """The sum of the losses."""


class Fixed(Weighting):
    """Weights that stay as they are given.

    Args:
        weights: one for each task, in their order.
    """

    values: Tensor

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.register_buffer("values", torch.tensor(weights))

    def build(self, num_tasks: int) -> None:
        from tlda.errors import UserError

        if len(self.values) != num_tasks:
            raise UserError(f"Fixed has {len(self.values)} weights, and there are {num_tasks} tasks: give one for each")
        super().build(num_tasks)

    def forward(self, losses: Tensor) -> Tensor:
        return self.values * losses


class Uncertainty(Weighting):
    """Weights learnt as the inverse of each task's noise (Kendall et al., CVPR 2018, eq. 10): ``exp(-s) L + s / 2``, ``s = log σ²``.

    At its minimum over ``s`` the weight of a task is ``1 / (2 L)``.
    """

    log_variances: nn.Parameter

    def build(self, num_tasks: int) -> None:
        super().build(num_tasks)
        self.log_variances = nn.Parameter(torch.zeros(num_tasks))

    def forward(self, losses: Tensor) -> Tensor:
        return torch.exp(-self.log_variances) * losses + self.log_variances / 2


class RLW(Weighting):
    """Random weights at each step, the softmax of normal numbers (random loss weighting, Lin et al., TMLR 2022)."""

    def forward(self, losses: Tensor) -> Tensor:
        return torch.randn(self.num_tasks, generator=self.generator).softmax(0).to(losses) * losses


class DWA(Weighting):
    """More weight to tasks whose loss fell less from one epoch to the next (dynamic weight average, Liu et al., CVPR 2019, eq. 7).

    In the first two epochs the weights are 1.

    Args:
        temperature: the softness of the weights; the paper's T.
    """

    totals: Tensor
    means: Tensor
    steps: Tensor

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        self.temperature = temperature

    def build(self, num_tasks: int) -> None:
        super().build(num_tasks)
        self.register_buffer("totals", torch.zeros(num_tasks))
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("means", torch.full((2, num_tasks), math.nan))  # of the epoch before last, and of the last

    def observe(self, losses: Tensor) -> None:
        self.totals += losses
        self.steps += 1

    def forward(self, losses: Tensor) -> Tensor:
        if bool(self.means.isnan().any()):
            return losses
        return self.num_tasks * (self.means[1] / self.means[0] / self.temperature).softmax(0) * losses

    def end_epoch(self) -> None:
        self.means.copy_(torch.stack((self.means[1], self.totals / self.steps)))
        self.totals.zero_()
        self.steps.zero_()


class GradNorm(Weighting):
    """Weights that bring the norms of the tasks' gradients together, those of slower tasks higher (Chen et al., ICML 2018, eq. 2).

    The gradients are those on the last shared layer. Each step moves the weights down the gradient of eq. 2, with its target held fixed,
    and scales them so that their sum is the number of tasks. They stay above zero, which the paper leaves to a small rate.

    Args:
        alpha: how much the slower tasks are favoured; the paper's.
        lr: the rate at which the weights move.
    """

    gradients = "last"
    values: Tensor
    first: Tensor

    def __init__(self, alpha: float = 1.5, lr: float = 0.025) -> None:
        super().__init__()
        self.alpha, self.lr = alpha, lr

    def build(self, num_tasks: int) -> None:
        super().build(num_tasks)
        self.register_buffer("values", torch.ones(num_tasks))
        self.register_buffer("first", torch.full((num_tasks,), math.nan))

    def forward(self, losses: Tensor) -> Tensor:
        return self.values.clone() * losses

    def coefficients(self, products: Tensor, losses: Tensor) -> Tensor:
        """Move the weights of the losses; the gradients themselves keep the factor 1."""
        self.first.copy_(torch.where(self.first.isnan(), losses, self.first))
        norms = products.diagonal().clamp_min(0).sqrt()
        weighted, ratios = self.values * norms, losses / self.first
        wanted = weighted.mean() * (ratios / ratios.mean()) ** self.alpha
        moved = (self.values - self.lr * (weighted - wanted).sign() * norms).clamp_min(1e-4)
        self.values.copy_(self.num_tasks * moved / moved.sum())
        return torch.ones_like(losses)


class PCGrad(Weighting):
    """Each task's gradient loses what opposes another's, one after the other in random order (Yu et al., NeurIPS 2020, alg. 1)."""

    gradients = "all"

    def coefficients(self, products: Tensor, losses: Tensor) -> Tensor:
        """Project gradients in terms of their dot products alone, so that no gradient of the network is kept."""
        size = len(losses)
        rows = torch.eye(size, dtype=products.dtype)
        table = products.cpu()
        for i in range(size):
            for j in torch.randperm(size, generator=self.generator).tolist():
                opposed = rows[i] @ table[:, j]
                if i != j and opposed < 0:
                    rows[i, j] -= opposed / table[j, j]
        return rows.sum(0).to(losses)


class CAGrad(Weighting):
    """The direction near the mean gradient in which the worst task gains most (Liu et al., NeurIPS 2021, eq. 4 and 5).

    Args:
        c: how far from the mean gradient it may go, as a share of its length; 0 is the mean of the gradients.
        rescaled: whether the direction is divided by 1 + c² and multiplied by the number of tasks, as in the authors' code; by default it
            is the paper's.
    """

    gradients = "all"

    def __init__(self, c: float = 0.5, rescaled: bool | None = None) -> None:
        super().__init__()
        self.c, self.rescaled = c, rescaled

    def coefficients(self, products: Tensor, losses: Tensor) -> Tensor:
        """Solve eq. 4 for the weights of the tasks by scipy, in terms of the dot products alone."""
        from scipy.optimize import minimize

        size, table = len(losses), products.double().cpu().numpy()
        mean = table.mean(0)
        radius = self.c * math.sqrt(max(float(mean.mean()), 0.0))
        # In units of the largest gradient, or the solver's tolerance would depend on the losses' scale.
        scale = float(table.diagonal().max()) or 1.0
        start = [1.0 / size] * size
        sums = {"type": "eq", "fun": lambda w: w.sum() - 1.0}
        found = minimize(
            lambda w: (w @ mean + radius * math.sqrt(max(w @ table @ w, 0.0) + 1e-12 * scale)) / scale,
            start, method="SLSQP", bounds=[(0.0, 1.0)] * size, constraints=sums, options={"ftol": 1e-12},
        )  # fmt: skip
        length = math.sqrt(max(found.x @ table @ found.x, 0.0) + 1e-12 * scale)
        scaled = size / (1.0 + self.c**2) if self.rescaled else 1.0
        return scaled * (1.0 / size + torch.as_tensor(radius / length * found.x).to(losses))
