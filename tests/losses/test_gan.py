from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd import grad
from torch.nn.functional import mse_loss

from tlda.errors import UserError
from tlda.losses import gan_critic, gan_generator, semantic_consistency


@pytest.fixture
def scores() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(4, 1, 5, 5, requires_grad=True), torch.randn(3, 1, 5, 5, requires_grad=True)


def test_least_squares_and_their_gradients(scores: tuple[torch.Tensor, torch.Tensor]) -> None:
    real, fake = scores
    critic, generator = gan_critic(real, fake, "lsgan"), gan_generator(fake, "lsgan")
    torch.testing.assert_close(critic, (mse_loss(real, torch.ones_like(real)) + mse_loss(fake, torch.zeros_like(fake))) / 2)
    torch.testing.assert_close(generator, mse_loss(fake, torch.ones_like(fake)))
    torch.testing.assert_close(grad(critic, (real, fake)), ((real - 1) / real.numel(), fake / fake.numel()))
    torch.testing.assert_close(grad(generator, fake)[0], 2 * (fake - 1) / fake.numel())


def test_hinge_and_its_gradients(scores: tuple[torch.Tensor, torch.Tensor]) -> None:
    real, fake = scores
    critic, generator = gan_critic(real, fake, "hinge"), gan_generator(fake, "hinge")
    wrong_real, wrong_fake = real < 1, fake > -1
    expected = nn.HingeEmbeddingLoss(margin=0.0)  # an independent one: mean of x where the label is 1
    torch.testing.assert_close(
        critic, (expected((1 - real).clamp_min(0), torch.ones(1)) + expected((1 + fake).clamp_min(0), torch.ones(1))) / 2
    )
    torch.testing.assert_close(
        grad(critic, (real, fake)), (-wrong_real.float() / (2 * real.numel()), wrong_fake.float() / (2 * fake.numel()))
    )
    torch.testing.assert_close(grad(generator, fake)[0], torch.full_like(fake, -1 / fake.numel()))


def test_half_precision_is_not_summed_in() -> None:
    scores = torch.full((64, 1, 40, 40), 0.3, dtype=torch.bfloat16)
    assert gan_generator(scores).dtype == torch.float32
    assert gan_generator(scores).item() == pytest.approx((1 - scores[0, 0, 0, 0].item()) ** 2, rel=1e-5)


def test_an_unknown_adversary_is_named() -> None:
    with pytest.raises(UserError, match="no adversary 'lsgam'; did you mean 'lsgan'"):
        gan_generator(torch.zeros(1), "lsgam")  # type: ignore[arg-type]


def test_semantic_consistency_asks_for_the_classes_as_they_were() -> None:
    before = torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 2.0]], requires_grad=True)
    after = torch.zeros(2, 3, requires_grad=True)
    loss = semantic_consistency(after, before)
    assert loss.item() == pytest.approx(torch.tensor(3.0).log().item())
    wanted = (torch.full((2, 3), 1 / 3) - torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])) / 2
    torch.testing.assert_close(grad(loss, after)[0], wanted)
    assert not loss.grad_fn or grad(semantic_consistency(after, before), before, allow_unused=True) == (None,)  # type: ignore[comparison-overlap]
