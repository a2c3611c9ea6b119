"""The base class of source-free methods that look at near rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Output, TargetBatch
from tlda.losses import MemoryBank
from tlda.methods.source_free import SourceFree
from tlda.training.target import target_numbers, target_outputs


class Neighbours(SourceFree, ABC):
    """The base of methods by which a target row answers as those near it do, in a memory bank that begins with the source's answers.

    Args:
        neighbours: how many near rows a row looks at.
    """

    pairs_rows, whole_inputs = True, "keeps a memory of each row"
    takes_no_loss: ClassVar[str] = "it sees no source, which a loss could compare the target with"

    def __init__(self, *, neighbours: int = 5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.neighbours, self.bank = neighbours, MemoryBank(self.num_features, len(self.task.outputs))

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            self.bank.clear(target_numbers(self))

    def on_train_start(self) -> None:
        super().on_train_start()
        self.require_origin(bool(self.bank.predictions.any()))
        if not self.bank.predictions.any():
            self.remember(*target_outputs(self))

    def remember(self, rows: Tensor, features: Tensor, logits: Tensor) -> None:
        """Write features (n, d) and logits (n, c) of ``rows`` (n,) into the bank."""
        self.bank.update(rows, features.detach(), logits.detach().float().softmax(1))

    def objective(self, batch: TargetBatch, source: Output, target: Output) -> dict[str, Tensor]:
        seen: Any = self.all_gather((batch.target.row, *(part.detach() for part in target)))
        self.remember(*(part.flatten(0, -dims) for part, dims in zip(seen, (1, 2, 2), strict=True)))
        return self.attracted(target.logits.float().softmax(1), batch.target.row)

    def nearest(self, rows: Tensor) -> Tensor:
        """The nearest rows (n, k) of each of ``rows`` (n,) in the bank, itself apart."""
        similar = (self.bank.features[rows] @ self.bank.features.T).float()
        similar[torch.arange(len(rows)), rows] = -torch.inf
        similar[:, ~self.bank.predictions.any(1)] = -torch.inf  # numbers without a row
        return similar.topk(min(self.neighbours, len(self.bank) - 1), 1).indices

    @abstractmethod
    def attracted(self, p: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """The terms for predictions ``p`` (n, c) of ``rows`` (n,)."""
