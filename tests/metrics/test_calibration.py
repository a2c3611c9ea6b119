"""Temperatures and calibration errors against independent values."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_calibration_error

from tlda.errors import UserError
from tlda.metrics.calibration import calibration_error, temperature, vector_scaling


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(300, 4, generator=generator, dtype=torch.double) * 2
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator).flatten()


def test_two_classes_have_the_temperature_of_the_closed_form() -> None:
    # All rows have logits (2, 0), and 3 of 4 are right: softmax(2 / T) = 3/4, so that T = 2 / log 3.
    logits, labels = torch.tensor([[2.0, 0.0]]).expand(4, 2), torch.tensor([0, 0, 0, 1])
    assert temperature(logits, labels) == pytest.approx(2 / math.log(3), rel=1e-9)


def test_it_is_what_lbfgs_finds_and_scales_with_the_logits() -> None:
    logits, labels = drawn()
    free = torch.zeros((), dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([free], max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(logits / free.exp(), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    found = temperature(logits, labels)
    assert found == pytest.approx(float(free.detach().exp()), rel=1e-5)
    assert temperature(3 * logits, labels) == pytest.approx(3 * found, rel=1e-9)
    assert temperature(torch.cat([logits, logits[:1]]), torch.cat([labels, torch.tensor([-1])])) == pytest.approx(found, rel=1e-12)


def test_the_calibration_error_is_that_of_torchmetrics() -> None:
    logits, labels = drawn()
    for scale in (1.0, 3.0):
        theirs = multiclass_calibration_error((scale * logits).softmax(1), labels, num_classes=4, n_bins=15)
        assert calibration_error(scale * logits, labels) == pytest.approx(float(theirs), abs=1e-6)


def test_no_temperature_is_best_where_there_is_no_error() -> None:
    with pytest.raises(UserError, match="all 2 held-out rows are answered rightly"):
        temperature(torch.eye(2), torch.tensor([0, 1]))
    with pytest.raises(UserError, match="no held-out row has a label"):
        temperature(torch.eye(2), torch.tensor([-1, -1]))


def test_a_weight_counts_as_so_many_rows() -> None:
    logits, labels = drawn()
    weights = torch.randint(0, 4, (300,), generator=torch.Generator().manual_seed(1))
    repeated = torch.arange(300).repeat_interleave(weights)
    assert temperature(logits, labels, weights.float()) == pytest.approx(temperature(logits[repeated], labels[repeated]), rel=1e-9)
    for found, wanted in zip(vector_scaling(logits, labels, weights), vector_scaling(logits[repeated], labels[repeated]), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_scales_and_shifts_of_classes_are_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, scale, shift = torch.randn(20_000, 3, generator=generator) * 2, torch.tensor([0.5, 1.0, 2.0]), torch.tensor([1.0, 0.0, -1.0])
    labels = torch.multinomial((logits * scale + shift).softmax(1), 1, generator=generator).flatten()
    found = vector_scaling(logits, labels)
    torch.testing.assert_close(found[0], scale, atol=0.08, rtol=0.0)
    torch.testing.assert_close(found[1], shift, atol=0.08, rtol=0.0)
    assert calibration_error(logits * found[0] + found[1], labels) < calibration_error(logits / temperature(logits, labels), labels) / 2
