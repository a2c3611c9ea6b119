"""GroupDRO's weighted risk and its weights against numpy."""

import numpy as np
import pytest
import torch

from tlda.errors import UserError
from tlda.losses import group_dro

RISKS, WEIGHTS = [1.0, 2.0, 4.0], [0.5, 0.3, 0.2]


def test_value_weights_and_gradient() -> None:
    risks = torch.tensor(RISKS, dtype=torch.float64, requires_grad=True)
    loss, weights = group_dro(risks, torch.tensor(WEIGHTS, dtype=torch.float64), eta=0.1)
    grown = np.array(WEIGHTS) * np.exp(0.1 * np.array(RISKS))
    grown /= grown.sum()
    np.testing.assert_allclose(weights.numpy(), grown, rtol=1e-12)
    assert loss.item() == pytest.approx(grown @ RISKS, rel=1e-12)
    np.testing.assert_allclose(torch.autograd.grad(loss, risks)[0].numpy(), grown, rtol=1e-12)  # the weights carry no gradient
    assert not weights.requires_grad


def test_a_step_of_zero_keeps_the_weights_and_a_large_risk_stays_finite() -> None:
    loss, weights = group_dro(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5]), eta=0.0)
    assert (loss.item(), weights.tolist()) == (2.0, [0.5, 0.5])
    loss, weights = group_dro(torch.tensor([1.0, 1e5]), torch.tensor([0.5, 0.5]), eta=1.0)
    assert (loss.item(), weights.tolist()) == (1e5, [0.0, 1.0])


def test_bad_input_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"group_dro takes a risk and a weight per domain, \(k,\), got \(2,\) and \(3,\)"):
        group_dro(torch.zeros(2), torch.ones(3), 0.1)
    with pytest.raises(UserError, match=r"group_dro has the step eta -1: it must be 0 or more"):
        group_dro(torch.zeros(2), torch.ones(2), -1)
