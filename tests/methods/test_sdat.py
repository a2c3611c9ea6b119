"""The sharpness-aware step, against one that shares nothing with it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, seed_everything
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tlda.backbones import Backbone
from tlda.losses import entropy_weight
from tlda.method import Method
from tlda.methods import CDAN, SDAT
from tlda.nn import without_statistics
from tlda.optim import SGD, ascended

LEARNING_RATE = 0.1


class Line(Backbone):
    """One linear layer."""

    def __init__(self) -> None:
        super().__init__(5)
        self.layer = torch.nn.Linear(16, 5)

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.layer(x.flatten(1))
        return features


class Keep(Callback):
    """The last batch."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.batch = batch


def one_step(method: Method, **options: Any) -> tuple[dict[str, Tensor], Any]:
    """The parameters and buffers after one step, and the batch that it was made on; the ramp is at its end."""
    keep = Keep()
    optimizer = SGD(lr=LEARNING_RATE, momentum=0.0, weight_decay=0.0, nesterov=False)
    method.optimizer = optimizer
    method.on_train_batch_start = lambda batch, batch_idx: setattr(method, "progress", 1.0)  # type: ignore[method-assign]
    trainer(1, callbacks=[keep], **options).fit(method, Toy(steps=1))
    return {name: value.detach().clone() for name, value in method.state_dict().items()}, keep.batch


def make(cls: type[Method], backbone: Callable[[], Backbone] = Line, **options: Any) -> Method:
    seed_everything(0, verbose=False)
    return cls(backbone=backbone(), task=CLASSES, hidden=6, **options)  # type: ignore[call-arg]


def by_hand(method: Method, batch: Any, rho: float) -> dict[str, Tensor]:
    """The parameters after one step of the authors' algorithm, written as functions of the parameters."""
    start = {name: value.detach().double().requires_grad_() for name, value in method.named_parameters()}
    network = {name for name in start if not name.startswith("losses")}
    critic = copy.deepcopy(method.losses["domain"].critic).double()
    x = torch.cat((batch.source.x, batch.target.x)).double().sub(0.5).div(0.5).flatten(1)
    n = len(batch.source.x)

    def forward(p: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        features = x @ p["network.backbone.layer.weight"].T + p["network.backbone.layer.bias"]
        return features, features @ p["network.head.weight"].T + p["network.head.bias"]

    task = cross_entropy(forward(start)[1][:n], batch.source.y)
    up = dict(zip(network, torch.autograd.grad(task, [start[name] for name in network]), strict=True))
    length = torch.cat([g.flatten() for g in up.values()]).norm()
    moved = {name: value + (rho * up[name] / length if name in network else 0.0) for name, value in start.items()}
    moved = {name: value.detach().requires_grad_() for name, value in moved.items()}
    features, logits = forward(moved)
    inputs = torch.einsum("nc,nd->ncd", logits.detach().softmax(1), features).flatten(1)
    prefix = "losses.domain.critic."
    opinions = functional_call(critic, {name.removeprefix(prefix): v for name, v in moved.items() if name.startswith(prefix)}, inputs)  # type: ignore[arg-type]
    weights = entropy_weight(logits).double()
    is_source = (torch.arange(len(x)) < n).double()
    losses = weights * binary_cross_entropy_with_logits(opinions.flatten(), is_source, reduction="none")
    domain = 0.5 * (losses[:n].sum() / weights[:n].sum() + losses[n:].sum() / weights[n:].sum())
    ours = torch.autograd.grad(cross_entropy(logits[:n], batch.source.y), moved.values(), retain_graph=True, materialize_grads=True)  # type: ignore[call-overload]
    theirs = torch.autograd.grad(domain, moved.values(), materialize_grads=True)  # type: ignore[call-overload]
    # The ramp of progress 1, 2 / (1 + e^-10) - 1, reverses the critic's gradient for the network.
    reversal = -(2.0 / (1.0 + torch.exp(torch.tensor(-10.0).double())) - 1.0)
    steps = (a + (reversal if name in network else 1.0) * b for name, a, b in zip(moved, ours, theirs, strict=True))
    return {name: (value - LEARNING_RATE * step).detach() for (name, value), step in zip(start.items(), steps, strict=True)}


@pytest.mark.parametrize("rho", [0.02, 2.0])
def test_a_step_is_that_of_two_gradients_taken_by_hand(rho: float) -> None:
    method = make(SDAT, rho=rho)
    before = copy.deepcopy(method)
    after, batch = one_step(method)
    expected, flat = by_hand(before, batch, rho), by_hand(before, batch, 0.0)
    for name, value in expected.items():
        torch.testing.assert_close(after[name].double(), value, rtol=1e-4, atol=1e-6)
    # What is compared must tell the ascent from none.
    moved = {name: (value - flat[name]).abs().max() for name, value in expected.items()}
    assert all(difference > (1e-5 if rho < 1 else 1e-3) for name, difference in moved.items() if not name.startswith("losses"))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_without_ascent_it_is_cdan_with_entropy_bit_for_bit(precision: str) -> None:
    net = partial(Tiny, dropout=0.3, batch_norm=True)
    ours, _ = one_step(make(SDAT, net, rho=0.0), precision=precision)
    theirs, _ = one_step(make(CDAN, net, entropy=True), precision=precision)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    another, _ = one_step(make(SDAT, net, rho=0.5), precision=precision)
    assert not torch.equal(another["network.backbone.layers.1.weight"], ours["network.backbone.layers.1.weight"])


def test_batchnorm_counts_a_batch_once_and_at_the_weights_themselves() -> None:
    method = make(SDAT, partial(Tiny, dropout=0.0), rho=5.0)
    network = copy.deepcopy(method.backbone).train()
    after, batch = one_step(method)
    network(torch.cat((batch.source.x, batch.target.x)))
    for name, value in network.layers[2].named_buffers():  # type: ignore[union-attr, index]
        torch.testing.assert_close(after[f"network.backbone.layers.2.{name}"], value)


def test_weights_ascend_by_the_radius_and_return_bit_for_bit() -> None:
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(1e-3 * torch.randn(7))]
    gradients = [torch.randn(4, 3), torch.zeros(7)]
    before = [weight.detach().clone() for weight in weights]
    with ascended(weights, gradients, 0.3):
        torch.testing.assert_close(weights[0] - before[0], 0.3 * gradients[0] / gradients[0].norm())
        assert torch.equal(weights[1], before[1])
    assert all(torch.equal(weight, value) for weight, value in zip(weights, before, strict=True))
    with contextlib.suppress(KeyError), ascended(weights, gradients, 0.3):
        raise KeyError  # a loss that is not finite ends a run so
    assert all(torch.equal(weight, value) for weight, value in zip(weights, before, strict=True))
    with ascended(weights, [torch.zeros_like(weight) for weight in weights], 0.3):  # no direction, no move
        assert all(torch.equal(weight, value) for weight, value in zip(weights, before, strict=True))


def test_autocast_sees_the_ascended_weights() -> None:
    layer, x = torch.nn.Linear(4, 2), torch.ones(1, 4)
    with torch.autocast("cpu", torch.bfloat16):
        first = layer(x)
        with ascended([layer.weight], [torch.ones_like(layer.weight)], 8.0):
            assert (layer(x) - first).min() > 5.0  # each of 8 weights rises by 8 / sqrt(8), and 4 of them are added
        assert torch.equal(layer(x), first)


def test_statistics_stand_still_only_within() -> None:
    norm = torch.nn.BatchNorm1d(3)
    x = torch.randn(8, 3) + 2
    with without_statistics(torch.nn.Sequential(norm, torch.nn.BatchNorm1d(3, track_running_stats=False))):
        inside = norm(x)
    assert norm.running_mean is not None
    assert norm.running_mean.abs().max() == 0
    torch.testing.assert_close(norm(x), inside)
    assert norm.running_mean.abs().max() > 0
    norm.eval()
    with without_statistics(norm):  # frozen: it normalises by what it has
        torch.testing.assert_close(norm(x), (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt())  # type: ignore[operator, union-attr]
