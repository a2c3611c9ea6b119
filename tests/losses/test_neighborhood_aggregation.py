"""Neighbourhood aggregation against a loop over rows and neighbours, and the memory bank that it looks into."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from tlda.errors import UserError
from tlda.losses import MemoryBank, neighborhood_aggregation
from tlda.losses.neighborhood_aggregation import neighbour_predictions, sharpened


def rows(n: int, d: int, seed: int, shift: float = 0.0) -> Any:
    return np.random.default_rng(seed).normal(shift, 1.0, (n, d))


def by_loops(z: Any, f: Any, numbers: Any, bank_f: Any, bank_p: Any, neighbours: int) -> Any:
    """The mean of the nearest that are neither empty nor the row itself, one row at a time."""
    total = weights = 0.0
    for i, own in enumerate(numbers):
        known = [j for j in range(len(bank_f)) if j != own and bank_p[j].sum() > 0]
        nearest = sorted(known, key=lambda j: -(f[i] @ bank_f[j]) / np.linalg.norm(f[i]))[:neighbours]
        mean = sum((bank_p[j] for j in nearest), np.zeros(z.shape[1])) / neighbours
        total -= mean.max() * log_softmax(z[i])[mean.argmax()]
        weights += mean.max()
    return total / weights


def problem(n: int = 6, size: Any = 20, d: int = 4, c: int = 3, empty: Sequence[int] = ()) -> Any:
    bank_f, bank_p = rows(size, d, 1), softmax(2 * rows(size, c, 2), axis=1) ** 2
    bank_f /= np.linalg.norm(bank_f, axis=1, keepdims=True)
    bank_f[list(empty)], bank_p[list(empty)] = 0.0, 0.0
    numbers = np.random.default_rng(3).permutation(size)[:n]
    features = bank_f[numbers] + 0.01 * rows(n, d, 4)  # near themselves, so that leaving them out matters
    return rows(n, c, 5), features, numbers, bank_f, bank_p


@pytest.mark.parametrize("neighbours", [1, 5])
@pytest.mark.parametrize("empty", [(), range(0, 20, 2), range(3, 20)], ids=["full", "half empty", "fewer than asked"])
def test_value_and_gradient_are_those_of_the_loop(conforms: Callable[..., None], neighbours: int, empty: Sequence[int]) -> None:
    z, f, *fixed = problem(empty=empty)

    def loss(z: Any, f: Any) -> Any:
        return neighborhood_aggregation(z, f, *map(torch.tensor, fixed), neighbours)  # type: ignore[arg-type, call-arg]

    conforms(loss, lambda z, f: by_loops(z, f, *fixed, neighbours), z, f)  # type: ignore[call-arg]


def test_an_empty_bank_says_nothing() -> None:
    z, f, numbers, *_ = map(torch.tensor, problem())
    z.requires_grad_()
    bank = MemoryBank(4, 3)
    bank.clear(20)
    loss = neighborhood_aggregation(z, f, numbers, bank.features, bank.predictions)
    assert loss.item() == 0.0
    assert torch.autograd.grad(loss, z)[0].abs().max() == 0.0


def test_an_empty_row_is_no_neighbour_even_where_the_others_point_away() -> None:
    bank_f, bank_p = torch.tensor([[0.0, 0.0], [-1.0, 0.1], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.2, 0.8], [0.0, 0.0]])
    said = neighbour_predictions(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), bank_f, bank_p, 1)
    torch.testing.assert_close(said, bank_p[1:2])


def test_order_of_the_batch_and_length_of_the_features_do_not_matter() -> None:
    z, f, numbers, *bank = map(torch.tensor, problem())
    value = neighborhood_aggregation(z, f, numbers, *bank)  # type: ignore[arg-type]
    order = torch.randperm(len(z))
    torch.testing.assert_close(neighborhood_aggregation(z[order], 1e3 * f[order], numbers[order], *bank), value)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [0.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_value_and_gradient_are_finite(scale: float, dtype: torch.dtype) -> None:
    z, f, numbers, bank_f, bank_p = map(torch.tensor, problem())
    z = (scale * z).to(dtype).requires_grad_()
    value = neighborhood_aggregation(z, scale * f.to(dtype), numbers, bank_f.bfloat16(), bank_p.float())
    assert value.isfinite()
    assert value.dtype == torch.float32
    assert torch.autograd.grad(value, z)[0].isfinite().all()


def test_autocast_does_not_change_the_neighbours() -> None:
    _, f, numbers, bank_f, bank_p = map(torch.tensor, problem(size=200))
    arguments = f.float(), numbers, bank_f.float(), bank_p.float(), 5
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(neighbour_predictions(*arguments), plain := neighbour_predictions(*arguments))
    assert torch.equal(plain, neighbour_predictions(*arguments))


def test_too_few_rows_are_refused() -> None:
    z, f, numbers, *bank = map(torch.tensor, problem())
    with pytest.raises(UserError, match="there are 20 target rows, too few for 20 neighbours"):
        neighborhood_aggregation(z, f, numbers, *bank, 20)  # type: ignore[arg-type, call-arg]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_sharpened_predictions_are_powers_over_their_sum_in_the_batch(temperature: float) -> None:
    z = rows(6, 4, 7)
    powers = softmax(z, axis=1) ** (1 / temperature)
    np.testing.assert_allclose(sharpened(torch.tensor(z), temperature).numpy(), powers / powers.sum(0))
    nobody = torch.tensor([[0.0, -1e3], [0.0, -1e3]])  # in float32, the powers of the second class are 0
    torch.testing.assert_close(sharpened(nobody), torch.full((2, 2), 0.5))


def test_a_bank_holds_unit_features_in_half_the_memory() -> None:
    bank = MemoryBank(4, 3)
    bank.clear(5)
    features, predictions = torch.tensor(rows(2, 4, 8)).float(), torch.rand(2, 3)
    bank.update(torch.tensor([3, 0]), features, predictions)
    assert bank.features.element_size() == 2
    assert not any(part[[1, 2, 4]].any() for part in bank.buffers())
    torch.testing.assert_close(bank.features[[3, 0]].float(), nn.functional.normalize(features), rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(bank.predictions[[3, 0]], predictions)


def test_a_new_bank_takes_the_rows_of_a_checkpoint_and_a_full_one_no_others() -> None:
    full, new = MemoryBank(4, 3), MemoryBank(4, 3)
    full.clear(5)
    full.update(torch.arange(5), torch.tensor(rows(5, 4, 8)), torch.rand(5, 3))
    new.load_state_dict(full.state_dict())
    assert all(torch.equal(*parts) for parts in zip(full.buffers(), new.buffers(), strict=True))
    with pytest.raises(UserError, match="the checkpoint remembers 0 target rows, and the target has 5"):
        full.load_state_dict(MemoryBank(4, 3).state_dict())
    new.load_state_dict({}, strict=False)
    assert len(new) == 5
