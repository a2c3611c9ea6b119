"""The reverse step against scikit-learn's ridge regression and the primal form, and Tsallis entropies against their limits."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy
from sklearn.linear_model import Ridge

from tlda.batch import Output, Pair, Sample, Unlabelled
from tlda.errors import UserError
from tlda.losses import CycleSelfTraining, TsallisEntropy, cycle_self_training, entropy, tsallis_entropy

CLASSES = 3
SHAPES = [(2, 2, 3), (6, 8, 2), (5, 9, 7), (4, 3, 20)]
"""Rows of the source, rows of the target, width: fewer rows than features, and more."""
every_shape = pytest.mark.parametrize("shape", SHAPES)


def rows(n: int, d: int, seed: int) -> Any:
    return np.random.default_rng(seed).normal(0.3, 1.0, (n, d))


def problem(n: int, m: int, d: int) -> Any:
    labels = np.random.default_rng(5).integers(0, CLASSES, n)
    return labels, rows(n, d, 1), rows(m, d, 2), rows(m, CLASSES, 3)


def by_scikit_learn(s: Any, t: Any, ridge: float) -> Any:
    return lambda y: Ridge(ridge, fit_intercept=False, solver="svd").fit(t, y).predict(s)


def by_primal_form(s: Any, t: Any, ridge: float) -> Any:
    return lambda y: s @ np.linalg.solve(t.T @ t + ridge * np.eye(t.shape[1]), t.T @ y)


def error(fit: Callable[..., Any], labels: Any, ridge: float, s: Any, t: Any, z: Any) -> Any:
    s, t = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (s, t))
    goal, pseudo = (np.eye(CLASSES)[y] - 1 / CLASSES for y in (labels, z.argmax(1)))
    return np.mean((fit(s, t, ridge)(pseudo) - goal) ** 2)


@every_shape
@pytest.mark.parametrize("fit", [by_scikit_learn, by_primal_form])
@pytest.mark.parametrize("ridge", [1e-3, 0.5])
def test_value_is_that_of_ridge_regression(shape: Any, fit: Callable[..., Any], ridge: float) -> None:
    labels, *arrays = problem(*shape)
    value = cycle_self_training(*map(torch.tensor, arrays[:2]), torch.tensor(labels), torch.tensor(arrays[2]), ridge)  # type: ignore[arg-type, call-arg]
    assert value.item() == pytest.approx(error(fit, labels, ridge, *arrays), rel=1e-9)


@every_shape
@pytest.mark.parametrize("fit", [by_scikit_learn, by_primal_form])
def test_gradients_are_those_of_ridge_regression(conforms: Callable[..., None], shape: Any, fit: Callable[..., Any]) -> None:
    labels, *arrays = problem(*shape)

    def loss(s: Any, t: Any, z: Any) -> Any:
        return cycle_self_training(s, t, torch.tensor(labels), z, 0.1)

    conforms(loss, partial(error, fit, labels, 0.1), *arrays)
    assert torch.autograd.gradcheck(partial(loss, z=torch.tensor(arrays[2])), [torch.tensor(x, requires_grad=True) for x in arrays[:2]])


def test_it_is_small_where_the_pseudo_labels_say_on_the_source_what_its_labels_say() -> None:
    features, labels = 3.0 * torch.eye(CLASSES).repeat(4, 1), torch.arange(CLASSES).repeat(4)
    agrees, swapped = (cycle_self_training(features, features, labels, logits) for logits in (features, features.roll(1, 1)))
    assert agrees.item() < 1e-6
    assert swapped.item() == pytest.approx(2 / CLASSES, rel=1e-2)


def test_order_and_length_of_rows_do_not_matter() -> None:
    labels, s, t, z = map(torch.tensor, problem(5, 9, 7))
    value = cycle_self_training(s, t, labels, z)
    source, target = torch.randperm(5), torch.randperm(9)
    shuffled = cycle_self_training(s[source], t[target], labels[source], z[target])
    torch.testing.assert_close(shuffled, value)
    torch.testing.assert_close(cycle_self_training(1e3 * s, 1e-2 * t, labels, z), value)


PLAIN = torch.tensor(rows(64, 100, 4), dtype=torch.float32)
SINGULAR = {
    "two rows": PLAIN[:2],
    "equal rows": PLAIN[:1].repeat(64, 1),
    "zero rows": torch.zeros(64, 100),
    "some zero rows": PLAIN * (torch.arange(64) % 3 > 0)[:, None],
    "large": 1e4 * PLAIN,
    "tiny": 1e-20 * PLAIN,
    "bfloat16": PLAIN.bfloat16(),
    "float16": PLAIN.half(),
}


@pytest.mark.parametrize("x", SINGULAR.values(), ids=SINGULAR)
def test_value_and_gradients_are_finite(x: Any) -> None:
    s, t = x.clone().requires_grad_(), x.clone().requires_grad_()
    value = cycle_self_training(s, t, torch.arange(len(x)) % 4, x[:, :4])
    gradients = torch.autograd.grad(value, (s, t))
    assert value.dtype == torch.float32
    assert all(g.isfinite().all() and g.dtype == x.dtype for g in (value.to(x.dtype), *gradients))


def test_single_precision_is_enough() -> None:
    labels = torch.arange(64) % 4
    value, exact = (cycle_self_training(x, x.flip(0) + 0.1, labels, x[:, :4]).item() for x in (PLAIN[:, :30], PLAIN[:, :30].double()))
    assert value == pytest.approx(exact, rel=1e-3)


def test_the_module_reads_the_labels_of_the_source() -> None:
    labels, s, t, z = map(torch.tensor, problem(6, 8, 2))
    batch = Pair(Sample(s, labels, torch.arange(6)), Unlabelled(t, torch.arange(8)))
    term = CycleSelfTraining(3.0, 0.2).term(batch, Output(s, s[:, :0]), Output(t, z), 0.0)
    torch.testing.assert_close(term.double(), 3.0 * cycle_self_training(s, t, labels, z, 0.2), rtol=1e-4, atol=0.0)


@pytest.mark.parametrize("shape", [(2, 3), (7, 2), (5, 6)])
@pytest.mark.parametrize("alpha", [1.2, 1.9, 2.0, 3.0])
def test_tsallis_entropy(conforms: Callable[..., None], shape: Any, alpha: float) -> None:
    def reference(z: Any) -> Any:
        return np.mean((1 - np.sum(softmax(z, axis=1) ** alpha, axis=1)) / (alpha - 1))

    loss = partial(tsallis_entropy, alpha=alpha)
    conforms(loss, reference, rows(*shape, 6))  # type: ignore[call-arg]
    assert torch.autograd.gradcheck(loss, [torch.tensor(rows(*shape, 6), requires_grad=True)])  # type: ignore[call-arg]


@pytest.mark.parametrize("alpha", [1.2, 1.9, 2.0])
def test_balanced_tsallis_entropy_is_the_sum_over_classes_of_the_authors_code(conforms: Callable[..., None], alpha: float) -> None:
    z = rows(7, 4, 6)
    weights = 1 + np.exp(-scipy_entropy(softmax(z, axis=1), axis=1))

    def reference(z: Any) -> Any:  # weights carry no gradient
        p, w = softmax(z, axis=1), (len(z) * weights / weights.sum())[:, None]
        mass = (p * w).sum(0)
        return (z.shape[1] - (p**alpha / mass * w).sum()) / (alpha - 1) / z.shape[1]

    conforms(partial(tsallis_entropy, alpha=alpha, balanced=True), reference, z)
    z[:, 0] = -1e4  # a class that nobody predicts
    assert np.isfinite(tsallis_entropy(torch.tensor(z), alpha, balanced=True).item())


def test_tsallis_entropy_is_shannons_at_1_and_the_gini_impurity_at_2() -> None:
    z = rows(5, 6, 6)
    p = softmax(z, axis=1)
    at = {alpha: tsallis_entropy(torch.tensor(z, dtype=torch.float32), alpha).item() for alpha in (1.0, 1.0 + 1e-6, 2.0)}
    assert at[1.0] == pytest.approx(scipy_entropy(p, axis=1).mean())
    assert at[1.0 + 1e-6] == pytest.approx(at[1.0], rel=1e-5)
    assert at[2.0] == pytest.approx(1 - np.mean(np.sum(p**2, axis=1)))


@pytest.mark.parametrize("alpha", [1.0, 1.9])
@pytest.mark.parametrize("scale", [0.0, 1e4, 1e30])
def test_tsallis_entropy_is_finite_at_certainty_and_at_none(alpha: float, scale: float) -> None:
    z = (scale * torch.tensor(rows(5, 6, 6), dtype=torch.bfloat16)).requires_grad_()
    value = tsallis_entropy(z, alpha)
    assert value.isfinite()
    assert value.dtype == torch.float32
    assert torch.autograd.grad(value, z)[0].isfinite().all()


def test_the_temperature_divides_the_logits_of_the_target() -> None:
    z = torch.tensor(rows(5, 6, 6), dtype=torch.float32)
    target = Output(z, z)
    torch.testing.assert_close(TsallisEntropy(0.5, 1.0, 4.0, balanced=False).term(None, target, target, 0.0), 0.5 * entropy(z / 4.0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: cycle_self_training(x, x, x.argmax(1), x, 0.0), "has the ridge 0.0: it must be positive"),
        (lambda x: cycle_self_training(x, x[:, :2], x.argmax(1), x), "cycle_self_training compares rows of one width"),
        (lambda x: tsallis_entropy(x, 0.5), "has the alpha 0.5: it is at least 1"),
    ],
)
def test_what_is_wrong_is_said(call: Callable[..., Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        call(torch.ones(4, 3))
