"""Roll-outs: what a policy did in many environments for some steps, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from tlda.rl.environments import Values, make, set_physics


class Rollout(NamedTuple):
    """The steps of n environments, t of each.

    ``x`` (t + 1, n, d) are the observations, the last after the last step; ``actions`` and ``rewards`` are (t, n). ``terminated`` (t, n)
    says where an episode ended by the environment's own rule, ``ended`` where it ended by that or by the limit of its length, and
    ``counted`` where a step was one: the step after an episode's last only begins the next, whatever the action.
    """

    x: Tensor
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    ended: Tensor
    counted: Tensor


class SourceRollout(NamedTuple):
    """Training in the source's physics."""

    source: Rollout


class TargetRollout(NamedTuple):
    """Training in the target's physics."""

    target: Rollout


class RandomisedRollout(NamedTuple):
    """Training in randomised physics."""

    randomised: Rollout


BATCHES = {"source": SourceRollout, "target": TargetRollout, "randomised": RandomisedRollout}
"""By the physics that a policy learns in, the type of its batch."""


class Judged(NamedTuple):
    """The counted steps of a roll-out, r in all: observations (r, d), and of each action what its loss needs, (r,)."""

    x: Tensor
    actions: Tensor
    before: Tensor
    advantages: Tensor
    returns: Tensor


class Actor(Protocol):
    """What chooses actions (n,) for observations (n, d)."""

    def __call__(self, x: Tensor) -> Tensor: ...


class Player:
    """Environments that are played on and on: their state follows from the ``seed`` and the actions since.

    Args:
        name: the environment.
        count: how many of it.
        values: its physics, of whose ranges each environment draws for itself.
        seed: what physics and beginnings are drawn by.
    """

    def __init__(self, name: str, count: int, values: Values, seed: Sequence[int]) -> None:
        generator = np.random.default_rng(np.random.SeedSequence(seed))
        self.envs = make(name, count, values)
        set_physics(self.envs, values, generator)
        self.x: Any = self.envs.reset(seed=int(generator.integers(2**31)))[0]
        self.begins = np.zeros(count, dtype=bool)

    def observed(self) -> Tensor:
        """The present observations, (n, d)."""
        return torch.from_numpy(np.asarray(self.x, dtype=np.float32))

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Take ``actions`` (n,), and return rewards, and what has terminated, ended, and counted as a step, (n,) each."""
        counted = ~self.begins
        self.x, rewards, terminated, truncated, _ = self.envs.step(actions.numpy())
        self.begins = np.logical_or(terminated, truncated)
        parts = (np.asarray(rewards, dtype=np.float32), terminated, self.begins, counted)
        first, *others = (torch.from_numpy(np.array(part)) for part in parts)
        return first, others[0], others[1], others[2]

    def roll(self, act: Actor, steps: int) -> Rollout:
        """Play so many ``steps``, and return them."""
        observations, actions, found = [self.observed()], [], []
        for _ in range(steps):
            actions.append(act(observations[-1]).cpu())
            found.append(self.step(actions[-1]))
            observations.append(self.observed())
        rewards, terminated, ended, counted = (torch.stack(part) for part in zip(*found, strict=True))
        return Rollout(torch.stack(observations), torch.stack(actions), rewards, terminated, ended, counted)

    def finish(self, act: Actor, limit: int) -> tuple[Tensor, Tensor]:
        """Play one episode of each environment, at most ``limit`` steps: the last observations (n, d), and the returns (n,)."""
        returns, going = torch.zeros(len(self.begins)), torch.ones(len(self.begins), dtype=torch.bool)
        last = self.observed()
        for _ in range(limit):
            rewards, _, ended, _ = self.step(act(self.observed()).cpu())
            returns += rewards * going
            last = torch.where(going[:, None], self.observed(), last)
            going &= ~ended
            if not going.any():
                break
        return last, returns


class Rollouts:
    """The roll-outs of each epoch of a run, as a loader: the environments begin anew with each epoch, and go on within it.

    So where they are follows from seed, epoch and the actions taken since, which a checkpoint of the middle of an epoch carries.
    """

    def __init__(self, data: Playing, values: Values, number: int) -> None:
        self.data, self.values, self.number = data, values, number

    def __len__(self) -> int:
        return self.data.rollouts

    def __iter__(self) -> Iterator[Rollout]:
        epoch, done = self.data.place()  # asked as the first batch is read, when a run that goes on knows it
        player = self.data.player(self.values, (self.number, epoch))
        self.data.acted = self.data.acted[:done]
        for actions in torch.cat(self.data.acted) if done else ():
            player.step(actions)
        for _ in range(done, len(self)):
            rollout = player.roll(self.data.act, self.data.horizon)
            self.data.acted.append(rollout.actions)
            yield rollout


class Playing(Protocol):
    """What roll-outs ask of the data that they are of."""

    rollouts: int
    horizon: int
    acted: list[Tensor]

    def place(self) -> tuple[int, int]:
        """The epoch, and how many of its roll-outs are done."""

    def player(self, values: Values, seed: Sequence[int]) -> Player:
        """Environments to train in."""

    def act(self, x: Tensor) -> Tensor:
        """The actions of the policy that learns."""
