"""Pseudo-labels against numpy and scipy."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn.functional import cross_entropy

from tlda import losses
from tlda.batch import Output
from tlda.errors import UserError
from tlda.losses import PseudoLabel, pseudo_label

SHAPES = [(2, 3), (6, 2), (5, 9), (1, 4)]


def logits(n: int, c: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0.0, 2.0, (n, c))


def reference(weak: Any, threshold: float) -> Any:
    """The labels and what passes are those of ``weak``, which is held constant."""
    p = softmax(weak, axis=1)
    passed, one_hot = p.max(1) >= threshold, np.eye(weak.shape[1])[p.argmax(1)]
    return lambda x: -np.sum(passed[:, None] * one_hot * log_softmax(x, axis=1)) / len(x)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.95])
def test_own_labels(conforms: Callable[..., None], shape: Any, threshold: float) -> None:
    x = logits(*shape)
    conforms(partial(pseudo_label, threshold=threshold), reference(x.copy(), threshold), x)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.95])
def test_labels_from_another_view(conforms: Callable[..., None], shape: Any, threshold: float) -> None:
    strong, weak = logits(*shape), logits(*shape, seed=1)  # type: ignore[misc]
    loss = partial(pseudo_label, threshold=threshold, labels_from=torch.tensor(weak))
    conforms(loss, reference(weak, threshold), strong)


def test_the_thresholds_above_tell_rows_apart() -> None:
    shares = [np.mean(softmax(logits(*shape), axis=1).max(1) >= 0.6) for shape in SHAPES]
    assert any(0 < share < 1 for share in shares)


def test_order_does_not_matter() -> None:
    x, weak, order = (torch.tensor(logits(7, 4, 2)), torch.tensor(logits(7, 4, 3)), torch.randperm(7))
    torch.testing.assert_close(pseudo_label(x[order], 0.6, weak[order]), pseudo_label(x, 0.6, weak))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_where_no_row_passes_it_is_exactly_zero(dtype: torch.dtype) -> None:
    x = torch.tensor(0.01 * logits(8, 5), dtype=dtype, requires_grad=True)
    value = pseudo_label(x, 0.95)
    assert value.item() == 0.0
    assert torch.autograd.grad(value, x)[0].abs().max() == 0.0


def test_the_view_that_labels_has_no_gradient() -> None:
    x, weak = (torch.tensor(logits(6, 3, seed), requires_grad=True) for seed in (0, 1))
    of_strong, of_weak = torch.autograd.grad(pseudo_label(x, 0.0, weak), (x, weak), allow_unused=True)
    assert of_strong.abs().max() > 0
    assert of_weak is None


@pytest.mark.parametrize("scale", [1e3, 1e6, 1e30])
def test_large_logits(scale: float) -> None:
    x = (scale * torch.tensor(logits(6, 3), dtype=torch.float32)).requires_grad_()
    value = pseudo_label(x, 0.95)
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert torch.autograd.grad(value, x)[0].isfinite().all()
    other = pseudo_label(x, 0.95, labels_from=x.detach().flip(1))
    assert other.isfinite()
    assert other > scale / 10


def test_half_precision_changes_only_the_inputs() -> None:
    x = torch.tensor(logits(64, 10), dtype=torch.bfloat16)
    value = pseudo_label(x, 0.6)
    assert value.dtype == torch.float32
    assert torch.equal(value, pseudo_label(x.float(), 0.6))


def test_a_diverged_row_is_not_hidden() -> None:
    x = torch.tensor(logits(4, 3))
    x[2] = torch.nan
    assert pseudo_label(x, 0.95).isnan()


def test_the_ramp_is_that_of_the_paper() -> None:
    x = torch.tensor(logits(6, 3), dtype=torch.float32)
    output = Output(torch.zeros(6, 2), x)
    plain = cross_entropy(x, x.argmax(1))
    loss = PseudoLabel()
    for progress, weight in [(0.0, 0.0), (0.1, 0.0), (0.2, 0.6), (0.35, 1.5), (0.6, 3.0), (1.0, 3.0)]:
        torch.testing.assert_close(loss.term(None, output, output, progress), weight * plain, msg=str(progress))  # type: ignore[arg-type]


def test_what_makes_no_sense_is_refused() -> None:
    x = torch.zeros(4, 3)
    with pytest.raises(UserError, match="threshold 95: it is a probability"):
        pseudo_label(x, 95)
    with pytest.raises(UserError, match=r"got \(4, 3\) and \(2, 3\)"):
        pseudo_label(x, 0.0, x[:2])
    with pytest.raises(UserError, match=r"from 0\.6 to 0\.1"):
        PseudoLabel(start=0.6, end=0.1)


def test_self_penalization_is_the_log_of_how_unlikely_a_label_is() -> None:
    logits = torch.randn(4, 3, dtype=torch.double, requires_grad=True)
    labels, temperature = torch.tensor([0, 2, 1, 1]), torch.tensor(5.0, dtype=torch.double, requires_grad=True)
    expected = -(1 - (logits / temperature).softmax(1)[torch.arange(4), labels]).log().mean()
    found = losses.self_penalization(logits, labels, temperature)
    torch.testing.assert_close(found, expected)
    gradients = (torch.autograd.grad(value, (logits, temperature)) for value in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
    assert losses.self_penalization(logits[:0], labels[:0]).item() == 0.0
    certain = torch.tensor([[900.0, 0.0]], requires_grad=True)  # where 1 - p is 0
    assert losses.self_penalization(certain, torch.tensor([0])).item() == 900.0


def test_certain_labels_are_those_near_the_mean_of_the_batch() -> None:
    p = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.55, 0.45]], dtype=torch.double)
    labels, sure = losses.certain_labels(p.log(), 1.0)
    assert labels.tolist() == [0, 1, 0]
    assert sure.tolist() == [True, True, False]  # 0.75 - 0.18
    assert losses.certain_labels(p[:1].log())[1].tolist() == [True]
