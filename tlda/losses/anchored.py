"""The base of losses that keep a network near its initial weights."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from tlda.batch import Learner
from tlda.losses.base import Loss
from tlda.nn import Snapshot


class Anchored(Loss):
    """The base of losses that compare the backbone with ``start``: what it was as the first fit began, pretrained or by ``init_from``.

    The copy is in checkpoints, so that a run that goes on is held by the same one. :meth:`attach` and :meth:`begin` take a
    :class:`tlda.method.Method`, or anything with a ``network`` of ``backbone``, ``bottleneck`` and ``head``.
    """

    sees_target: ClassVar[bool] = False
    start: Snapshot

    def attach(self, method: Learner) -> None:
        self.start = Snapshot(method.network.backbone)
        self.method = (method,)  # in a tuple, which keeps it out of the loss's parameters

    def begin(self, method: Learner) -> None:
        if not self.start.taken:
            self.start.take(method.network.backbone)

    @property
    def backbone(self) -> nn.Module:
        """The backbone that learns."""
        backbone: nn.Module = self.method[0].network.backbone
        return backbone
