"""The distance of moments against numpy."""

from itertools import combinations

import numpy as np
import pytest
import torch

from tlda.errors import UserError
from tlda.losses import moment_distance


def by_numpy(domains: list[np.ndarray], moments: int) -> float:
    def moment(rows: np.ndarray, k: int) -> np.ndarray:
        mean: np.ndarray = rows.mean(0) if k == 1 else ((rows - rows.mean(0)) ** k).mean(0)
        return mean

    pairs = list(combinations(domains, 2))
    return float(sum(np.linalg.norm(moment(a, k) - moment(b, k)) for a, b in pairs for k in range(1, moments + 1))) / len(pairs)


@pytest.mark.parametrize("moments", [1, 2, 4])
def test_value_and_gradient(moments: int) -> None:
    random = np.random.default_rng(0)
    rows = [random.normal(shift, 1 + shift, (5 + int(4 * shift), 3)) for shift in (0.0, 0.5, 1.0)]
    domains = [torch.tensor(part, requires_grad=True) for part in rows]
    assert moment_distance(domains, moments).item() == pytest.approx(by_numpy(rows, moments), rel=1e-12)
    assert torch.autograd.gradcheck(lambda *parts: moment_distance(parts, moments), domains)


def test_the_same_domain_twice_has_no_distance_and_a_finite_gradient() -> None:
    rows = torch.randn(4, 3, requires_grad=True)
    distance = moment_distance([rows, rows.detach()])
    assert distance.item() == 0.0
    assert torch.autograd.grad(distance, rows)[0].isfinite().all()


def test_bad_input_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"moment_distance compares two domains or more, got 1: name several sources"):
        moment_distance([torch.zeros(3, 2)])
    with pytest.raises(UserError, match=r"moment_distance compares rows of one width"):
        moment_distance([torch.zeros(3, 2), torch.zeros(3, 1)])
