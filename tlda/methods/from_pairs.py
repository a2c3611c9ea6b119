"""The base class of methods that learn to read one modality from another, by pairs without labels."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from torch import Tensor

from tlda.backbones import Backbone
from tlda.batch import Output, Paired, PairedBatch
from tlda.method import Method
from tlda.network import Network
from tlda.training.retrieving import Retrieving


class FromPairs(Retrieving, Method, ABC):
    """The base of methods with a frozen teacher of the half ``a`` of each pair, from which the network learns to read ``b``.

    The checkpoint of ``init_from`` is the teacher's; without one it is as it was made, a control where its weights are random.

    Args:
        teacher: the teacher's backbone; one as the network's where none is given.
    """

    setting: ClassVar[str] = "cross-modal"
    takes_no_loss: ClassVar[str] = "pairs of two modalities have no source and target that a loss could compare"
    few_labels_fit = False

    def __init__(self, *, teacher: Backbone | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.teacher = Network(teacher or copy.deepcopy(self.network.backbone), self.task).requires_grad_(False).eval()

    @property
    def batch_type(self) -> type:
        return PairedBatch

    @property
    def starting(self) -> Network:
        return self.teacher

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.teacher.eval()
        return self

    @abstractmethod
    def terms(self, pairs: Paired) -> dict[str, Tensor]:
        """The terms by name, whose sum is minimised."""

    def forward_pair(self, batch: PairedBatch) -> tuple[Output, Output]:
        return (output := self(batch.paired.b)), output

    def training_step(self, batch: PairedBatch, batch_idx: int) -> Tensor:
        return self.total(self.terms(batch.paired))
