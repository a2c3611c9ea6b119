"""The base class of every loss that looks at both domains."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tlda.batch import Batch, Learner, Output
from tlda.inputs import drawn
from tlda.options.recorded import Recorded


class Loss(Recorded, nn.Module):
    """A term that any method can add to its objective, and that works in anyone's own loop.

    ``forward(batch, source, target, progress)`` gives a scalar; :meth:`term` is what is minimised: ``trade_off``
    times that. A loss that owns parameters makes them in :meth:`build`.

    Args:
        trade_off: the weight of the term beside the task loss.
    """

    reads_classes: ClassVar[bool] = False
    """Whether the loss looks at logits or labels as classes: refused in one sentence where the task has none."""

    trains_on_certainty: ClassVar[bool] = False
    """Whether the loss makes the target's predictions certain: that they are certain is then no evidence."""

    pairs_rows: ClassVar[bool] = False
    """Whether the loss pairs the rows of both domains, so that both must have as many: one per input."""

    mixed_precision: ClassVar[bool] = False
    """Whether the loss runs under the trainer's autocast. Off unless it owns a network: statistics want float32."""

    sees_target: ClassVar[bool] = True
    """Whether the loss looks at the target. With one that does not, a method that trains on the source alone still does."""

    compares_domains: ClassVar[bool] = False
    """Whether the loss compares the source with the target, so that it says nothing where a method has one domain at a time."""

    made_for_classes: ClassVar[bool] = False
    """Whether its parameters are made for a number of classes, so that all logits that it sees must have as many."""

    compares_pairs: ClassVar[bool] = False
    """Whether the loss compares all pairs of rows, so that it costs the square of their number."""

    max_rows: int | None = None
    """The most rows of a domain that such a loss sees, which the task says; None for all."""

    def __init__(self, trade_off: float = 1.0) -> None:
        super().__init__()
        self.trade_off = trade_off

    @classmethod
    def short_name(cls) -> str:
        """The name of its curve: the class name in snake case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    def build(self, num_features: int, num_classes: int) -> None:
        """Make the loss's own parameters, for features of width ``num_features`` and ``num_classes`` classes."""

    def attach(self, method: Learner) -> None:
        """Make what depends on the network of ``method``; its weights may still change, by ``init_from``."""

    def begin(self, method: Learner) -> None:
        """Look at ``method`` as a fit begins: its network has its initial weights, or those of the checkpoint that it goes on from."""

    def forward(self, batch: Any, source: Output, target: Output, progress: float) -> Tensor:
        """The scalar loss of a batch at ``progress`` in 0..1 of the run; a subclass may name the type of the batch that it needs."""
        raise NotImplementedError

    def term(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        """The term of the objective, at the precision that the loss asks for."""
        if self.compares_pairs and self.max_rows:
            batch, source, target = drawn(batch, source, target, self.max_rows)
        if self.mixed_precision:
            return self.weigh(self(batch, source, target, progress))
        with torch.autocast(source.features.device.type, enabled=False):
            source, target = (Output(*(t.float() for t in output)) for output in (source, target))
            return self.weigh(self(batch, source, target, progress))

    def weigh(self, loss: Tensor) -> Tensor:
        """``trade_off`` times the loss; an adversarial loss puts it into the gradient reversal instead."""
        return self.trade_off * loss
