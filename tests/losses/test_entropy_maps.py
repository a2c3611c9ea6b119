"""ADVENT's maps and losses against numpy, closed forms and a hand-written pair of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch.nn.functional import binary_cross_entropy_with_logits

from tlda.batch import Output, Pair, Sample, Unlabelled
from tlda.losses import EntropyMaps, self_information


def test_self_information_is_that_of_numpy(conforms: Callable[..., None]) -> None:
    x, weights = np.random.default_rng(0).normal(0.0, 2.0, (6, 5)), np.random.default_rng(1).normal(size=(6, 5))

    def reference(x: Any) -> Any:
        p = softmax(x, axis=1)
        return np.sum(weights * -p * np.log(p) / np.log(5))

    conforms(lambda x: (torch.tensor(weights) * self_information(x)).sum(), reference, x)


def test_it_sums_to_the_entropy_in_0_to_1() -> None:
    maps = self_information(torch.tensor([[0.0, 0.0, 0.0], [300.0, 0.0, 0.0]], dtype=torch.float64)[:, :, None, None])
    assert torch.allclose(maps.sum(1).flatten(), torch.tensor([1.0, 0.0], dtype=torch.float64))


def test_the_discriminator_and_the_network_each_get_their_own_gradient() -> None:
    """As two steps in turn, with a discriminator that is fixed in the second: the authors' training loop."""
    torch.manual_seed(0)
    loss = EntropyMaps(0.3, width=4, layers=2)
    loss.build(8, 3)
    x, logits = torch.zeros(2, 3, 16, 16), [torch.randn(2 * 4 * 4, 3, requires_grad=True) for _ in range(2)]
    batch = Pair(Sample(x, torch.zeros(32), torch.arange(32)), Unlabelled(x, torch.arange(32)))
    outputs = Output(torch.zeros(32, 8), logits[0]), Output(torch.zeros(32, 8), logits[1])
    term = loss.term(batch, *outputs, progress=0.5)
    maps = [one.view(2, 4, 4, 3).permute(0, 3, 1, 2).softmax(1) for one in logits]
    maps = [-(p * p.log()) / np.log(3) for p in maps]

    def bce(answers: torch.Tensor, label: float) -> torch.Tensor:
        return binary_cross_entropy_with_logits(answers, torch.full_like(answers, label))

    apart = 0.5 * (bce(loss.discriminator(maps[0].detach()), 1.0) + bce(loss.discriminator(maps[1].detach()), 0.0))
    network = 0.3 * bce(loss.discriminator(maps[1]), 1.0)
    assert torch.isclose(term, apart + network)
    parameters = list(loss.discriminator.parameters())
    expected = [*torch.autograd.grad(apart, parameters), *torch.autograd.grad(network, logits[1])]
    found = torch.autograd.grad(term, [*parameters, *logits], materialize_grads=True)
    for one, other in zip(found, [*expected[:-1], torch.zeros(32, 3), expected[-1]], strict=True):
        torch.testing.assert_close(one, other)
