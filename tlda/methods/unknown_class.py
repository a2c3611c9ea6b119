"""The base class of methods whose head has a class for unknown rows."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from tlda.batch import Batch, Output, Pair
from tlda.method import Method


class UnknownClass(Method):
    """The base of methods with one more class than the source has, the last one, for unknown rows of the target.

    Where the target has no unknown classes, that class is no answer.
    """

    setting: ClassVar[str] = "open"
    reads_classes: ClassVar[bool] = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network.replace_head(nn.Linear(self.num_features, len(self.task.outputs) + 1))

    @property
    def batch_type(self) -> type:
        return Pair

    def added(self, batch: Batch, source: Output, target: Output | None) -> dict[str, Tensor]:
        """The terms of added losses, which see the source's classes alone."""
        first, second = (o and o._replace(logits=o.logits[:, : len(self.task.outputs)]) for o in (source, target))
        return super().added(batch, first or source, second)
