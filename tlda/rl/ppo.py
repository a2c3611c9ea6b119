"""The losses of proximal policy optimisation, and the advantages that it learns from, as plain functions."""

from __future__ import annotations

import torch
from torch import Tensor


def gae(
    rewards: Tensor, values: Tensor, terminated: Tensor, ended: Tensor, discount: float = 0.99, trace: float = 0.95
) -> tuple[Tensor, Tensor]:
    r"""Generalised advantages and returns of a roll-out (Schulman et al., ICLR 2016, eq. 16).

    .. math:: A_t = \delta_t + \gamma \lambda A_{t+1}, \quad \delta_t = r_t + \gamma V(s_{t+1}) - V(s_t)

    Where an episode terminated, the state after it is worth nothing. Where its time ran out it is worth its value, and in neither case do
    later rewards count.

    Args:
        rewards: r, (t, n), of n environments.
        values: V, (t + 1, n): of each state, and of the one after the last step.
        terminated: (t, n), whether the step ended the episode by the environment's own rule.
        ended: (t, n), whether the step ended it, by that rule or by the limit of its length.
        discount: gamma.
        trace: lambda: 0 trusts the values, 1 the rewards.

    Returns:
        The advantages (t, n), and the returns (t, n), which are advantages and values together.

    Example:
        >>> ones, none = torch.ones(2, 1), torch.zeros(2, 1, dtype=torch.bool)
        >>> gae(ones, torch.zeros(3, 1), none, none, discount=0.5, trace=1.0)[0].flatten()
        tensor([1.5000, 1.0000])
    """
    deltas = rewards + discount * values[1:] * ~terminated - values[:-1]
    advantages, following = torch.empty_like(deltas), torch.zeros_like(deltas[0])
    for t in reversed(range(len(deltas))):
        following = deltas[t] + discount * trace * following * ~ended[t]
        advantages[t] = following
    return advantages, advantages + values[:-1]


def clipped_loss(log_probabilities: Tensor, before: Tensor, advantages: Tensor, clip: float = 0.2) -> Tensor:
    r"""PPO's clipped loss of actions (Schulman et al., 2017, eq. 7), a scalar.

    .. math:: -\frac{1}{n} \sum_i \min\left(r_i A_i,\ \operatorname{clip}(r_i, 1 - \epsilon, 1 + \epsilon) A_i\right)

    Args:
        log_probabilities: (n,), of the actions under the policy that learns.
        before: (n,), under the policy that took them; r is the ratio of both probabilities.
        advantages: A, (n,).
        clip: epsilon. Beyond it a ratio that the advantage pushes further has no gradient.

    Example:
        >>> clipped_loss(torch.tensor([1.0]).log(), torch.tensor([0.5]).log(), torch.tensor([1.0]))
        tensor(-1.2000)
    """
    ratio = (log_probabilities - before).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1.0 - clip, 1.0 + clip) * advantages).mean()


def entropy(logits: Tensor) -> Tensor:
    """The mean entropy of the actions of ``logits`` (n, actions), in nats.

    Example:
        >>> entropy(torch.zeros(1, 2))
        tensor(0.6931)
    """
    log_probabilities = logits.log_softmax(1)
    return -(log_probabilities.exp() * log_probabilities).sum(1).mean()


def log_probability(logits: Tensor, actions: Tensor) -> Tensor:
    """The log-probability (n,) of ``actions`` (n,) under ``logits`` (n, actions)."""
    return logits.log_softmax(1).gather(1, actions[:, None]).squeeze(1)
