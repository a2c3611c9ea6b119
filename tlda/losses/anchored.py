"""What holds a network near where a fit began."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from tlda.losses.base import Loss
from tlda.nn import Snapshot


class Anchored(Loss):
    """The base of losses that compare the backbone with ``start``: what it was as the first fit began, pretrained or by ``init_from``.

    The copy is in checkpoints, so that a run that goes on is held by the same one. :meth:`attach` and :meth:`begin` take a
    :class:`tlda.method.Method`, or anything with a ``backbone``, a ``bottleneck`` and a ``head``.
    """

    sees_target: ClassVar[bool] = False
    start: Snapshot

    def attach(self, method: Any) -> None:
        self.start = Snapshot(method.backbone)
        self.method = (method,)  # in a tuple, which keeps it out of the loss's parameters

    def begin(self, method: Any) -> None:
        if not self.start.taken:
            self.start.take(method.backbone)

    @property
    def backbone(self) -> nn.Module:
        """The backbone that learns."""
        backbone: nn.Module = self.method[0].backbone
        return backbone
