"""A start that is near to where steps on any examples lead."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tlda.batch import EpisodeBatch
from tlda.methods.few_shot.maml import MAML


class Reptile(MAML):
    r"""The start moves towards where a few steps on an episode lead, without a gradient through them (Nichol et al., 2018, alg. 1).

    .. math:: \theta \leftarrow \theta + \epsilon \, (\theta_e - \theta)

    All images of an episode of training are examples, since it has no use for queries.

    Args:
        inner_lr: the learning rate of the steps on the examples.
        steps: how many of them in training.
        test_steps: how many where it is measured; as many where none is given.
    """

    def __init__(self, *, inner_lr: float = 0.1, steps: int = 5, test_steps: int | None = None, **kwargs: Any) -> None:
        super().__init__(inner_lr=inner_lr, steps=steps, test_steps=test_steps, second_order=False, **kwargs)

    def training_step(self, batch: EpisodeBatch, batch_idx: int) -> Tensor:
        start = dict(self.network.named_parameters())
        reached = self.adapted(batch.episode.x, batch.episode.y)
        # Half a squared distance, whose gradient is the way back: SGD at a rate e goes the fraction e of the way there.
        parts = [(start[name] - value.detach()).square().sum() for name, value in reached.items()]
        return self.total({"distance": torch.stack(parts).sum() / 2})
