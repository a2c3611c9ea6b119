"""The base class of methods that train two networks side by side."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Inputs, Output, Pair, SourceBatch, Takes, TargetBatch
from tlda.errors import UserError
from tlda.methods.base import ManualMethod
from tlda.network import averaged


class TwoNetworks(ManualMethod):
    """The base of methods whose second network begins as a copy of the first and learns beside it; a tuning that freezes layers is refused.

    Args:
        pretrain: the fraction of the run in which one network learns the source and added losses; 0 where ``init_from`` names a checkpoint.
    """

    reads_classes, trains_on_certainty, pairs_rows, few_labels_fit = True, True, True, False
    batchnorm, fixed_batchnorm = "separate", True
    takes: ClassVar[Takes] = "numbers"
    whole_inputs: ClassVar[str] = "mixes inputs and their labels"
    begun: Tensor

    def __init__(self, *, pretrain: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.tuning.freezes:
            raise UserError(f"{type(self).__name__} trains two networks whole, and --model.tuning freezes layers of one: leave it out")
        self.pretrain, self.second = pretrain, copy.deepcopy(self.network)
        self.register_buffer("begun", torch.tensor(False))

    @property
    def batch_type(self) -> type:
        return Pair

    def parameter_groups(self) -> list[dict[str, Any]]:
        groups, twin = super().parameter_groups(), dict(zip(self.network.parameters(), self.second.parameters(), strict=True))
        copied = [{**g, "name": f"second_{g['name']}", "params": [twin[p] for p in g["params"] if p in twin]} for g in groups]
        return [*groups, *(group for group in copied if group["params"])]

    def step_batch(self, batch: Pair) -> None:
        """Train one network on the source until ``pretrain``, then make the second one of it, and train both."""
        optimizer = self.optimizers()  # one
        if self.progress < self.pretrain:
            outputs = self.forward_pair(batch if self.losses else SourceBatch(batch.source))
            self.step({"task": self.task_loss(outputs[0].logits, batch.source.y), **self.added(batch, *outputs)}, optimizer)
            return
        if not self.begun:
            self.second.load_state_dict(self.network.state_dict())
            self.begun.fill_(True)
        self.step(self.objective(batch, *self.forward_pair(batch if self.losses else TargetBatch(batch.target))), optimizer)

    def answer(self, x: Inputs, domain: str) -> Output:
        output = super().answer(x, domain)
        return averaged([output, self.second(x)])._replace(features=output.features) if self.begun else output
