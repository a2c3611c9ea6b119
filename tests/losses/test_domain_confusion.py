"""Domain confusion as two players: who gets which gradient, against a critic written in numpy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch.func import functional_call

from tlda.batch import Output
from tlda.losses import DomainConfusion

TRADE_OFF = 0.3
WEIGHTS = ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]


def make(trade_off: float = TRADE_OFF) -> Any:
    torch.manual_seed(0)
    loss = DomainConfusion(trade_off, hidden=5)
    loss.build(3, 2)
    return loss.double()


def features(n: int, m: int) -> Any:
    generator = np.random.default_rng(1)
    return generator.normal(0.4, 1.0, (n, 3)), generator.normal(-0.4, 1.5, (m, 3))


def weights_of(loss: Any) -> Any:
    return [loss.critic.get_parameter(name).detach().numpy().copy() for name in WEIGHTS]


def probabilities(x: Any, w0: Any, b0: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
    """Of "this is source", by the critic's weights."""
    return expit(np.maximum(np.maximum(x @ w0.T + b0, 0) @ w1.T + b1, 0) @ w2.T + b2)[:, 0]


def critics_own(s: Any, t: Any, *weights: Any) -> Any:
    return -(np.log(probabilities(s, *weights)).mean() + np.log(1 - probabilities(t, *weights)).mean()) / 2


def confusion(s: Any, t: Any, *weights: Any) -> Any:
    p = probabilities(np.concatenate((s, t)), *weights)
    return np.mean(-0.5 * np.log(p) - 0.5 * np.log(1 - p))


def call(loss: Any, s: Any, t: Any, weights: Any = None) -> Any:
    outputs = [Output(x, x) for x in (s, t)]
    parameters = {f"critic.{name}": weight for name, weight in zip(WEIGHTS, weights, strict=True)} if weights else {}
    return functional_call(loss, parameters, (None, *outputs, 0.0))


@pytest.mark.parametrize("shape", [(2, 2), (5, 5), (6, 3)])
def test_the_features_see_the_confusion_alone(conforms: Callable[..., None], shape: Any) -> None:
    loss, arrays = make(), features(*shape)
    weights = weights_of(loss)
    own = critics_own(*arrays, *weights)
    conforms(lambda s, t: call(loss, s, t), lambda s, t: own + TRADE_OFF * confusion(s, t, *weights), *arrays)


@pytest.mark.parametrize("shape", [(2, 2), (5, 5), (6, 3)])
def test_the_critic_sees_its_own_loss_alone(conforms: Callable[..., None], shape: Any) -> None:
    loss, arrays = make(), features(*shape)
    weights = weights_of(loss)
    confused = TRADE_OFF * confusion(*arrays, *weights)
    tensors = [torch.tensor(array) for array in arrays]
    conforms(lambda *w: call(loss, *tensors, w), lambda *w: critics_own(*arrays, *w) + confused, *weights)  # type: ignore[call-arg]


def test_neither_gradient_leaks_by_a_bit() -> None:
    s, t = (torch.tensor(x, requires_grad=True) for x in features(5, 5))
    loud, silent = make(1.0), make(0.0)
    of_critic = [torch.autograd.grad(call(loss, s, t), list(loss.parameters())) for loss in (loud, silent)]
    assert all(map(torch.equal, *of_critic))
    assert all(gradient.abs().max() > 0.0 for gradient in of_critic[0])
    assert all(gradient.abs().max() == 0.0 for gradient in torch.autograd.grad(call(silent, s, t), [s, t]))


def test_order_of_the_rows_does_not_matter() -> None:
    loss = make()
    s, t = (torch.tensor(x, requires_grad=True) for x in features(6, 6))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    value, shuffled = call(loss, s, t), call(loss, s[order], t[order])
    torch.testing.assert_close(shuffled, value)
    for one, other in zip(torch.autograd.grad(value, [s, t]), torch.autograd.grad(shuffled, [s, t]), strict=True):
        torch.testing.assert_close(one, other)


def test_features_at_half_precision() -> None:
    loss = make().float()
    s, t = (torch.tensor(x, dtype=torch.bfloat16, requires_grad=True) for x in features(2, 2))
    with torch.autocast("cpu", torch.bfloat16):
        value = loss.term(None, Output(s, s), Output(t, t), 0.0)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, call(loss, s.float(), t.float()), rtol=0.02, atol=0.0)
    assert all(gradient.isfinite().all() and gradient.abs().max() > 0.0 for gradient in torch.autograd.grad(value, [s, t]))


def test_the_features_learn_to_confuse_a_critic_that_learns() -> None:
    loss = make(1.0)
    s, t = (torch.tensor(x, requires_grad=True) for x in features(32, 32))
    gap = (s.mean(0) - t.mean(0)).norm().item()
    optimizer = torch.optim.Adam([s, t, *loss.parameters()], 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        call(loss, s, t).backward()
        optimizer.step()
    assert (s.mean(0) - t.mean(0)).norm().item() < 0.5 * gap
