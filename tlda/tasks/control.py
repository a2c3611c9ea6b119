"""Which of a few actions to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from tlda.batch import Inputs, Output
from tlda.errors import UserError
from tlda.metrics.returns import Return
from tlda.tasks.base import Task
from tlda.tasks.place import Place


@dataclass
class Control(Task):
    """One of ``actions`` per observation; a measured row is an episode, whose label is its return. NaN is none.

    Args:
        actions: what the actions are called.

    Raises:
        UserError: there are fewer than two.
    """

    actions: Sequence[str]
    headline: ClassVar[str] = "return"

    def __post_init__(self) -> None:
        if len(self.actions) < 2:
            raise UserError(f"a policy chooses among actions, and there are {len(self.actions)}: it needs two or more")

    @property
    def outputs(self) -> Sequence[str]:
        return self.actions

    def head(self, num_features: int) -> nn.Module:
        """Make the last layer, small, so that a new policy takes all actions about as often."""
        layer = nn.Linear(num_features, len(self.actions))
        nn.init.orthogonal_(layer.weight, 0.01)
        nn.init.zeros_(layer.bias)
        return layer

    def known(self, y: Tensor) -> Tensor:
        return ~y.isnan() if y.is_floating_point() else torch.ones_like(y, dtype=torch.bool)

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The cross-entropy of actions ``y`` that were shown: behaviour cloning."""
        return nn.functional.cross_entropy(logits, y.long())

    def metrics(self, place: Place) -> dict[str, Metric]:
        return {"return": Return()}

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        return {"action": [self.actions[number] for number in output.logits.argmax(1).tolist()]}
