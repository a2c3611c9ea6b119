"""Mixed statistics of feature maps, by hand."""

import torch

from tlda.nn import mixed_statistics


def test_each_channel_has_the_mixed_mean_and_deviation() -> None:
    x = torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.double) * 3 + 1
    order, weights = torch.tensor([2, 0, 1]), torch.tensor([0.25, 1.0, 0.5], dtype=torch.double)
    mixed = mixed_statistics(x, order, weights, 0.0)
    for of in (lambda y: y.mean((2, 3)), lambda y: y.std((2, 3))):
        own = of(x)
        torch.testing.assert_close(of(mixed), weights[:, None] * own + (1 - weights[:, None]) * own[order])
    torch.testing.assert_close(mixed[1], x[1])  # mixed with nothing


def test_the_statistics_carry_no_gradient() -> None:
    x = torch.randn(2, 1, 3, 3, dtype=torch.double, requires_grad=True)
    (gradient,) = torch.autograd.grad(mixed_statistics(x, torch.tensor([1, 0]), torch.tensor([0.5, 0.5]).double(), 0.0)[0].sum(), x)
    deviation = x.detach().std((2, 3))
    expected = (0.5 * (deviation[0] + deviation[1]) / deviation[0]).expand(1, 3, 3)
    torch.testing.assert_close(gradient[0], expected)
    assert gradient[1].abs().max() == 0
