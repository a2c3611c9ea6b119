"""The datamodule of policies: one environment with the physics of a source and of a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import DataLoader

from tlda.batch import Output, Rows, Sample
from tlda.data.arrays import digest
from tlda.data.augmenting import Moved
from tlda.data.pair import ROLES, DomainPair
from tlda.data.rows import Domain
from tlda.errors import UserError
from tlda.rl.environments import Values, described, require_physics, single, warn_of_idle
from tlda.rl.rollouts import Player, Rollouts
from tlda.tasks import Control, Place, Task

if TYPE_CHECKING:
    from gymnasium import Env

MEASURING = 2**32
"""What the seed of measured episodes has that those of training have not."""


class Acting(Protocol):
    """What is measured: a method that answers for observations."""

    @property
    def device(self) -> torch.device: ...

    def answer(self, x: Tensor, domain: str) -> Output:
        """The output for observations (n, d)."""


class Physics(DomainPair):
    """One environment of gymnasium, with the physics of a source and of a target.

    The method says whose roll-outs it learns from. Both are measured by greedy episodes, whose beginnings follow from the seed.

    Args:
        environment: the name of an environment with a few actions to choose from, such as ``CartPole-v1``.
        source: attributes of the environment that the source sets, each to a number, or to a range, of which each environment draws a
            number as it begins; by default it is as it is.
        target: the same of the target.
        randomised: the same of a method that learns in randomised physics.
        rollouts: the roll-outs of an epoch. The environments go on from one to the next, and begin anew with an epoch.
        environments: how many environments are played at once.
        horizon: the steps of each in a roll-out.
        episodes: how many greedy episodes measure each domain.
        seed: the seed of all that is drawn; by default that of the run.

    Raises:
        UserError: there is no such environment or attribute, its actions are continuous, or a range is upside down.
    """

    def __init__(
        self,
        environment: str = "CartPole-v1",
        source: dict[str, float | list[float]] | None = None,
        target: dict[str, float | list[float]] | None = None,
        randomised: dict[str, float | list[float]] | None = None,
        rollouts: int = 8,
        environments: int = 16,
        horizon: int = 64,
        episodes: int = 20,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed=seed)
        counts = {"rollouts": rollouts, "environments": environments, "horizon": horizon, "episodes": episodes}
        for name, value in counts.items():
            if value < 1:
                raise UserError(f"--data.{name} is {value}: it must be at least 1")
        self.environment, self.rollouts, self.environments, self.horizon, self.episodes = (
            environment,
            rollouts,
            environments,
            horizon,
            episodes,
        )
        self.physics: dict[str, Values] = {"source": source or {}, "target": target or {}, "randomised": randomised or {}}
        self.acted: list[Tensor] = []
        for option, values in self.physics.items():
            require_physics(self.env, option, values)

    @cached_property
    def env(self) -> Env[Any, Any]:
        """One environment as gymnasium makes it, which is asked for its spaces and limits, and never played."""
        return single(self.environment)

    @cached_property
    def task(self) -> Task:
        """Which of the actions to take; they are called by their numbers."""
        return Control([str(number) for number in range(int(self.env.action_space.n))])

    @property
    def transfer(self) -> str:
        """The name of the transfer task: the environment, and the physics of both domains."""
        source, target = (described(self.physics[role]) for role in ("source", "target"))
        return f"{self.environment.replace('/', '-')}_{source}_to_{target}"

    @property
    def places(self) -> list[Place]:
        """Both domains; their rows are episodes that are yet to be played."""
        return [Place(described(self.physics["source"]), "source"), Place(described(self.physics["target"]), "target")]

    def load(self) -> tuple[Domain, Domain]:
        raise UserError("the physics of an environment have no rows to look at: train, and look at the returns")

    def setup(self, stage: str) -> None:
        """Refuse several processes, and methods that read rows."""
        if self.trainer is not None and self.trainer.world_size > 1:
            raise UserError("roll-outs are those of one process: set --trainer.devices 1")
        method: Any = getattr(self.trainer, "lightning_module", None)
        if not set(getattr(self.batch_type, "_fields", ())) <= self.physics.keys() or not hasattr(method, "act"):
            raise UserError(f"{type(method).__name__} learns from rows, and Physics has roll-outs: take --model Policy")

        for option in (*ROLES, "randomised") if stage == "fit" else ():
            warn_of_idle(self.environment, option, self.physics[option])

    def fingerprint(self) -> str:
        """A hash of the environment and its physics."""
        return digest([f"{self.environment}\0{self.physics['source']}\0{self.physics['target']}".encode()])

    # Training

    def train_dataloader(self) -> CombinedLoader:
        """The roll-outs of the physics that the method learns in."""
        batch_type: Any = self.batch_type
        fields = batch_type._fields
        numbers = list(self.physics)
        return CombinedLoader(batch_type(*(Rollouts(self, self.physics[name], numbers.index(name)) for name in fields)), "min_size")

    def place(self) -> tuple[int, int]:
        """The epoch, and how many of its roll-outs are done."""
        return self._place()

    def player(self, values: Values, seed: Sequence[int]) -> Player:
        """The environments of training with physics ``values``."""
        return Player(self.environment, self.environments, values, (self.seed, *seed))

    def act(self, x: Tensor) -> Tensor:
        """The actions that the policy in training draws for observations (n, d)."""
        method: Any = self.trainer.lightning_module if self.trainer else None
        drawn: Tensor = method.act(x.to(method.device))
        return drawn

    def state_dict(self) -> dict[str, Any]:
        """The actions since the epoch began, from which the states of the environments follow."""
        return {"acted": torch.stack(self.acted).short()} if self.acted else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.acted = list(state_dict["acted"].long()) if state_dict else []

    def on_after_batch_transfer(self, batch: Moved, dataloader_idx: int) -> Moved:
        return batch

    # Measuring

    @property
    def evaluation_rows(self) -> tuple[Rows, Rows]:
        raise UserError("an environment has no held-out rows that an average of weights could watch: use --model.average EMA")

    def val_dataloader(self) -> list[DataLoader[Any]]:
        loaders: list[Any] = [_Episodes(self, role) for role in ROLES]
        return loaders

    def test_dataloader(self) -> list[DataLoader[Any]]:
        return self.val_dataloader()

    def predict_dataloader(self) -> DataLoader[Any]:
        raise UserError("a policy answers in an environment, and there are no rows to predict: `tlda test` plays it")

    def played(self, role: str, method: Acting) -> Sample:
        """Greedy episodes of ``method`` in the physics of ``role``: their last observations, and their returns as labels."""
        player = Player(self.environment, self.episodes, self.physics[role], (self.seed, MEASURING, list(self.physics).index(role)))

        def greedy(x: Tensor) -> Tensor:
            chosen: Tensor = method.answer(x.to(method.device), role).logits.argmax(1)
            return chosen

        last, returns = player.finish(greedy, self.env.spec.max_episode_steps)
        return Sample(last.to(method.device), returns.to(method.device), torch.arange(len(returns)), torch.zeros(len(returns)).long())


class _Episodes:
    """One batch: greedy episodes of the policy that the trainer has."""

    def __init__(self, data: Physics, role: str) -> None:
        self.data, self.role = data, role

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Sample]:
        trainer: Any = self.data.trainer
        with trainer.precision_plugin.forward_context():
            played = self.data.played(self.role, trainer.lightning_module)
        yield played
