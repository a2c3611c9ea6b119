"""Weightings against implementations of their papers' formulas that share no code with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tlda.errors import UserError
from tlda.losses.weightings import DWA, RLW, CAGrad, Equal, Fixed, GradNorm, PCGrad, Uncertainty, Weighting
from tlda.nn.gates import gradient_products, shared_parameters
from tlda.tasks import Regression
from tlda.tasks.heads import TaskHeads


def built(weighting: Weighting, size: int = 2) -> Any:
    weighting.build(size)
    return weighting


def gradients(size: int, seed: int = 0, width: int = 4) -> Tensor:
    """Random gradients (tasks, width), some of which oppose each other."""
    return torch.randn(size, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Weights of losses

LOSSES = torch.tensor([2.0, 0.5])


def test_equal_and_fixed() -> None:
    assert torch.equal(built(Equal())(LOSSES), LOSSES)
    assert built(Fixed([0.5, 3.0]))(LOSSES).tolist() == [1.0, 1.5]
    with pytest.raises(UserError, match="Fixed has 2 weights, and there are 3 tasks"):
        Fixed([1.0, 2.0]).build(3)


@pytest.mark.slow
def test_uncertainty_converges_to_the_closed_form() -> None:
    weighting = built(Uncertainty())
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(500):
        optimizer.zero_grad()
        weighting(LOSSES).sum().backward()
        optimizer.step()
    torch.testing.assert_close(torch.exp(-weighting.log_variances), 1 / (2 * LOSSES), rtol=1e-3, atol=0.0)
    minimum = sum(0.5 + 0.5 * math.log(2 * loss) for loss in LOSSES.tolist())
    assert weighting(LOSSES).sum().item() == pytest.approx(minimum, rel=1e-4)


def test_random_weights_sum_to_one_and_change() -> None:
    weighting = built(RLW(), 3)
    weighting.generator.manual_seed(0)
    first, second = (weighting(torch.ones(3)) for _ in range(2))
    assert first.sum().item() == pytest.approx(1.0)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    normal = torch.randn(3).double().numpy()
    np.testing.assert_allclose(first.numpy(), np.exp(normal) / np.exp(normal).sum(), rtol=1e-6)


def test_dynamic_weight_average_follows_the_epochs_means() -> None:
    weighting = built(DWA(temperature=2.0))
    epochs = [[[4.0, 2.0], [2.0, 2.0]], [[1.0, 1.0], [2.0, 2.0]], [[1.0, 4.0], [1.0, 2.0]]]
    seen = []
    for epoch in epochs:
        for losses in epoch:
            weighting.observe(torch.tensor(losses))
        seen.append(weighting(LOSSES))
        weighting.end_epoch()
    seen.append(weighting(LOSSES))
    assert torch.equal(seen[0], LOSSES)
    assert torch.equal(seen[1], LOSSES)
    means = np.array(epochs).mean(1)
    for place, (before, last) in ((2, means[:2]), (3, means[1:])):
        shares = np.exp(last / before / 2.0)
        np.testing.assert_allclose(seen[place].numpy(), 2 * shares / shares.sum() * LOSSES.numpy(), rtol=1e-6)


# Weights of gradients


def pcgrad_of_the_paper(rows: np.ndarray, orders: list[list[int]]) -> np.ndarray:
    """Algorithm 1 on the gradients themselves."""
    total = np.zeros(rows.shape[1])
    for i, order in enumerate(orders):
        own = rows[i].copy()
        for j in order:
            if j != i and own @ rows[j] < 0:
                own -= own @ rows[j] / (rows[j] @ rows[j]) * rows[j]
        total += own
    return total


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [2, 3, 5])
def test_pcgrad_is_its_algorithm(size: int, seed: int) -> None:
    rows = gradients(size, seed)
    weighting = built(PCGrad(), size)
    weighting.generator.manual_seed(seed)
    coefficients = weighting.coefficients(rows @ rows.T, torch.ones(size, dtype=torch.float64))
    torch.manual_seed(seed)
    orders = [torch.randperm(size).tolist() for _ in range(size)]
    np.testing.assert_allclose((coefficients @ rows).numpy(), pcgrad_of_the_paper(rows.numpy(), orders), rtol=1e-9, atol=1e-12)


def test_pcgrad_of_two_opposed_gradients_by_hand() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    coefficients = built(PCGrad()).coefficients(rows @ rows.T, torch.ones(2))
    # (1, 0) loses its part along (-1, 1) and becomes (½, ½); (-1, 1) loses its part along (1, 0) and becomes (0, 1).
    torch.testing.assert_close(coefficients @ rows, torch.tensor([0.5, 1.5]))
    agreeing = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert built(PCGrad()).coefficients(agreeing @ agreeing.T, torch.ones(2)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_cagrad_solves_its_problem(scale: float) -> None:
    rows, c = scale * gradients(2, seed=3), 0.5
    found = (built(CAGrad(c)).coefficients(rows @ rows.T, torch.ones(2, dtype=torch.float64)) @ rows).numpy()
    mean = rows.numpy().mean(0)
    # Equation 4: the worst task's gain is the largest that there is within the ball around the mean gradient, here by search.
    basis = np.linalg.qr(rows.numpy().T)[0].T
    circle = [np.cos(a) * basis[0] + np.sin(a) * basis[1] for a in np.linspace(0, 2 * np.pi, 20_000)]
    best = max(min(rows.numpy() @ (mean + c * np.linalg.norm(mean) * direction)) for direction in circle)
    assert min(rows.numpy() @ found) == pytest.approx(best, rel=1e-4)
    assert np.linalg.norm(found - mean) == pytest.approx(c * np.linalg.norm(mean), rel=1e-4)


def test_cagrad_as_its_authors_have_it_is_as_long_as_the_sum_of_the_losses() -> None:
    rows, ones = gradients(3), torch.ones(3, dtype=torch.float64)
    paper, authors = (built(CAGrad(0.5, rescaled=own), 3).coefficients(rows @ rows.T, ones) for own in (None, True))
    torch.testing.assert_close(authors, 3 * paper / 1.25)


def test_cagrad_without_room_is_the_mean() -> None:
    rows = gradients(3)
    torch.testing.assert_close(
        built(CAGrad(0.0), 3).coefficients(rows @ rows.T, torch.ones(3, dtype=torch.float64)), torch.full((3,), 1 / 3).double()
    )


def gradnorm_of_the_paper(
    weights: Tensor, layer: Tensor, losses: Callable[[Tensor], Tensor], first: Tensor, alpha: float, lr: float
) -> Tensor:
    """Equation 2 and a step down its gradient by automatic differentiation."""
    weights = weights.clone().requires_grad_()
    values = losses(layer)
    norms = torch.stack([torch.autograd.grad(w * v, layer, create_graph=True)[0].norm() for w, v in zip(weights, values, strict=True)])
    ratios = (values / first).detach()
    wanted = (norms.mean() * (ratios / ratios.mean()) ** alpha).detach()
    (gradient,) = torch.autograd.grad((norms - wanted).abs().sum(), weights)
    moved = weights.detach() - lr * gradient
    return len(moved) * moved / moved.sum()


def test_gradnorm_is_its_formula_step_by_step() -> None:
    weighting, layer = built(GradNorm(alpha=1.5, lr=0.05)), torch.tensor([1.0, 2.0], requires_grad=True)

    def losses(x: Tensor) -> Tensor:
        return torch.stack(((x[0] - 3) ** 2 + x[1] ** 2, 0.1 * (x[0] + x[1]) ** 2))

    first, weights = losses(layer).detach(), torch.ones(2)
    for _ in range(10):
        products = gradient_products(list(losses(layer)), [layer], lambda x: x)
        weighting.coefficients(products, losses(layer).detach())
        weights = gradnorm_of_the_paper(weights, layer, losses, first, 1.5, 0.05)
        torch.testing.assert_close(weighting.values, weights)
        (gradient,) = torch.autograd.grad((weights * losses(layer)).sum(), layer)
        layer = (layer - 0.05 * gradient).detach().requires_grad_()
    assert abs(weights[0] - 1) > 0.05
    torch.testing.assert_close(weighting(torch.ones(2)), weights)


# The way of the gradients


def heads_on_a_quadratic(weighting: Weighting) -> tuple[nn.Linear, TaskHeads, Callable[[], dict[str, Tensor]]]:
    """A shared layer under two heads, whose losses pull it in opposite ways."""
    torch.manual_seed(1)
    shared, heads = nn.Linear(3, 4), TaskHeads(4, {"": {name: Regression(["one"]) for name in "ab"}}, weighting)
    heads.tasks["b"].load_state_dict(heads.tasks["a"].state_dict())
    x = torch.randn(5, 3)

    def losses() -> dict[str, Tensor]:
        features = shared(x)
        passed = {task: heads.tasks[task](heads.gates[task](features)) for task in ("a", "b")}
        return {task: (passed[task] - wanted).square().mean() for task, wanted in (("a", 4.0), ("b", -4.0))}

    return shared, heads, losses


def plain_gradients(shared: nn.Module, losses: dict[str, Tensor]) -> list[Tensor]:
    return [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(shared.parameters()), retain_graph=True)])
        for loss in losses.values()
    ]


@pytest.mark.parametrize("weighting", [PCGrad(), CAGrad(0.4), Equal(), Fixed([2.0, 0.5])])
def test_the_shared_layer_gets_the_combined_gradient_and_each_head_its_own(weighting: Weighting) -> None:
    shared, heads, losses = heads_on_a_quadratic(weighting)
    found = losses()
    rows = torch.stack(plain_gradients(shared, found))
    own = {task: torch.autograd.grad(found[task], heads.tasks[task].weight, retain_graph=True)[0] for task in found}  # type: ignore[arg-type]
    weighting.generator.manual_seed(7)
    sum(heads.weigh(found, (shared,), lambda x: x).values()).backward()  # type: ignore[union-attr]
    gradient = torch.cat([p.grad.flatten() for p in shared.parameters() if p.grad is not None])
    if weighting.gradients == "all":
        weighting.generator.manual_seed(7)
        wanted = weighting.coefficients(rows @ rows.T, torch.stack(list(found.values())).detach())
        assert not torch.allclose(wanted, torch.ones(2))
    else:
        wanted = weighting(torch.ones(2))
    torch.testing.assert_close(gradient, wanted @ rows, rtol=1e-4, atol=1e-5)
    for number, task in enumerate(own):
        factor = 1.0 if weighting.gradients == "all" else wanted[number].item()
        torch.testing.assert_close(heads.tasks[task].weight.grad, factor * own[task])


def test_a_frozen_network_has_no_gradients_to_look_at() -> None:
    with pytest.raises(UserError, match="which is frozen: use Equal"):
        shared_parameters([nn.Linear(2, 2).requires_grad_(False)], "all")
    layers = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    assert shared_parameters([layers], "last") == [layers[0].weight]
