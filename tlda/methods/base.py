"""The base class of methods that make several optimizer steps per batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from tlda.batch import Batch
from tlda.method import Method


class ManualMethod(Method, ABC):
    """The base of methods that make their own optimizer steps (``optimizer.step()``), several per batch.

    Override :meth:`step_batch`, and :meth:`optimizer_list` where there are several optimizers.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.automatic_optimization = False

    def optimizer_list(self) -> list[Optimizer]:
        """The optimizers, in the order in which :meth:`step_batch` asks for them by :meth:`made_optimizers`: one of all parameters."""
        return [self.optimizer(self.parameter_groups())]

    def made_optimizers(self) -> list[Any]:
        """The optimizers of :meth:`optimizer_list` as the trainer wraps them, in the same order."""
        made: Any = self.optimizers()
        return list(made)

    @abstractmethod
    def step_batch(self, batch: Any) -> None:
        """Take the steps of one training batch."""

    def configure_optimizers(self) -> list[Optimizer]:
        return self.optimizer_list()

    def training_step(self, batch: Batch, batch_idx: int) -> Any:
        self.step_batch(batch)

    def step(self, terms: dict[str, Tensor], *optimizers: Any) -> None:
        """One step of ``optimizers`` on the sum of ``terms``."""
        self.zero_grad()
        self.manual_backward(self.total(terms))
        for optimizer in optimizers:
            optimizer.step()
