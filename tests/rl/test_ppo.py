"""Advantages and losses of PPO against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from tlda.rl.ppo import clipped_loss, entropy, gae, log_probability

DISCOUNT, TRACE = 0.9, 0.8


def by_hand(rewards: list[float], values: list[float], terminated: list[bool], ended: list[bool]) -> list[float]:
    """The advantages by their definition: the sum of all later temporal differences of the episode, each discounted."""
    found = []
    for t in range(len(rewards)):
        total = 0.0
        for k in range(t, len(rewards)):
            following = 0.0 if terminated[k] else values[k + 1]
            total += (DISCOUNT * TRACE) ** (k - t) * (rewards[k] + DISCOUNT * following - values[k])
            if ended[k]:
                break
        found.append(total)
    return found


@pytest.mark.parametrize(
    ("terminated", "ended"),
    [
        ([False] * 4, [False] * 4),
        ([False, True, False, False], [False, True, False, False]),
        ([False] * 4, [False, True, False, False]),  # out of time: the state after it keeps its value
        ([False, False, False, True], [True, False, False, True]),
    ],
)
def test_advantages_are_discounted_differences_within_an_episode(terminated: list[bool], ended: list[bool]) -> None:
    rewards, values = [1.0, -2.0, 0.5, 3.0], [0.3, 1.1, -0.7, 2.0, 0.9]
    paid, worth = (torch.tensor(part).double()[:, None] for part in (rewards, values))
    advantages, returns = gae(paid, worth, torch.tensor(terminated)[:, None], torch.tensor(ended)[:, None], DISCOUNT, TRACE)
    assert advantages.flatten().tolist() == pytest.approx(by_hand(rewards, values, terminated, ended))
    assert torch.allclose(returns, advantages + worth[:-1])


def test_environments_do_not_mix() -> None:
    rewards, values, none = torch.randn(5, 3), torch.randn(6, 3), torch.zeros(5, 3, dtype=torch.bool)
    ended = none.clone()
    ended[2, 1] = True
    alone = [gae(rewards[:, [i]], values[:, [i]], none[:, [i]], ended[:, [i]])[0] for i in range(3)]
    assert torch.allclose(gae(rewards, values, none, ended)[0], torch.cat(alone, 1))


def test_trace_of_one_is_the_return_and_of_zero_one_step() -> None:
    rewards, values, none = torch.randn(4, 1).double(), torch.randn(5, 1).double(), torch.zeros(4, 1, dtype=torch.bool)
    returns = gae(rewards, values, none, none, DISCOUNT, 1.0)[1]
    assert float(returns[0]) == pytest.approx(sum(DISCOUNT**k * float(rewards[k]) for k in range(4)) + DISCOUNT**4 * float(values[4]))
    assert torch.allclose(gae(rewards, values, none, none, DISCOUNT, 0.0)[1], rewards + DISCOUNT * values[1:])


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "slope"),
    [
        (1.1, 2.0, -2.2, -2.2),  # within the clip: the gradient of -r A by log p is -r A
        (1.5, 2.0, -2.4, 0.0),  # pushed further by its advantage: clipped
        (1.5, -2.0, 3.0, 3.0),  # pushed back: not clipped
        (0.5, 2.0, -1.0, -1.0),
        (0.5, -2.0, 1.6, 0.0),
    ],
)
def test_a_ratio_is_clipped_where_its_advantage_pushes_it_further(ratio: float, advantage: float, value: float, slope: float) -> None:
    new = torch.tensor([math.log(ratio)], dtype=torch.float64, requires_grad=True)
    loss = clipped_loss(new, torch.zeros(1).double(), torch.tensor([advantage]).double(), 0.2)
    (gradient,) = torch.autograd.grad(loss, new)
    assert (float(loss), float(gradient)) == pytest.approx((value, slope))


def test_entropy_and_log_probability() -> None:
    logits = torch.tensor([[0.2, -1.0, 0.7], [3.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    expected = torch.distributions.Categorical(logits=logits)
    actions = torch.tensor([2, 0])
    assert torch.allclose(entropy(logits), expected.entropy().mean())
    assert torch.allclose(log_probability(logits, actions), expected.log_prob(actions))
    own, other = (torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (entropy(logits), expected.entropy().mean()))
    assert torch.allclose(own, other)
