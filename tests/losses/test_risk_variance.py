"""The variance of the domains' risks against its closed form."""

import pytest
import torch

from tlda.errors import UserError
from tlda.losses import risk_variance


def test_value_and_gradient() -> None:
    risks = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64, requires_grad=True)
    value = risk_variance(risks)
    assert value.item() == pytest.approx(14 / 9, abs=1e-12)  # biased, as in DomainBed; the unbiased one is 7 / 3
    torch.testing.assert_close(torch.autograd.grad(value, risks)[0], 2 / 3 * (risks - 7 / 3).detach())


def test_one_domain_has_none() -> None:
    assert risk_variance(torch.tensor([3.0])).item() == 0.0


@pytest.mark.parametrize("risks", [torch.zeros(0), torch.zeros(2, 2)])
def test_what_is_no_risk_per_domain_is_a_sentence(risks: torch.Tensor) -> None:
    with pytest.raises(UserError, match=r"risk_variance takes one risk per domain, \(k,\), got"):
        risk_variance(risks)
