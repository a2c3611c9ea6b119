"""Roll-outs: which steps count, and environments that go on from the actions since they began."""

from __future__ import annotations

import torch
from torch import Tensor

from tlda.rl.rollouts import Player


def left(x: Tensor) -> Tensor:
    """Push the cart to the left: its pole falls within a dozen steps."""
    return torch.zeros(len(x), dtype=torch.long)


def test_a_step_that_only_begins_an_episode_does_not_count() -> None:
    rollout = Player("CartPole-v1", 3, {}, (0,)).roll(left, 30)
    assert rollout.x.shape == (31, 3, 4)
    assert rollout.ended.any()
    assert torch.equal(rollout.counted[1:], ~rollout.ended[:-1])
    assert torch.equal(rollout.rewards, rollout.counted.float())  # CartPole pays 1 for every step
    assert torch.equal(rollout.terminated, rollout.ended)
    fallen, begun = rollout.x[1:-1][rollout.ended[:-1]], rollout.x[2:][rollout.ended[:-1]]
    assert bool((fallen[:, 2].abs() > 0.2).all())  # the state after an episode's last step is the one it ended in
    assert bool((begun.abs() <= 0.05).all())


def test_an_episode_that_runs_out_of_time_has_not_terminated() -> None:
    def balance(x: Tensor) -> Tensor:
        return (x[:, 2] + x[:, 3] > 0).long()

    rollout = Player("CartPole-v1", 2, {"gravity": 0.1}, (0,)).roll(balance, 502)
    late = rollout.ended[499]
    assert bool(late.any())
    assert not bool(rollout.terminated[499][late].any())


def test_the_state_follows_from_the_seed_and_the_actions() -> None:
    first, again, other = (Player("CartPole-v1", 4, {"length": [0.3, 1.5]}, (seed,)) for seed in (5, 5, 6))

    def act(x: Tensor) -> Tensor:
        return torch.randint(2, (len(x),))

    rollout = first.roll(act, 40)
    for actions in rollout.actions:
        again.step(actions)
    assert torch.equal(again.observed(), rollout.x[-1])
    assert not torch.equal(other.observed(), rollout.x[0])
    assert torch.equal(again.roll(left, 5).x, first.roll(left, 5).x)


def test_an_episode_is_measured_to_its_end() -> None:
    last, returns = Player("CartPole-v1", 5, {}, (1,)).finish(left, 500)
    assert bool(((returns >= 8) & (returns <= 11)).all())  # a constant push fells the pole in 8 to 11 steps
    assert bool((last[:, 2].abs() > 0.15).all())
