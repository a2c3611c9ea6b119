"""A pretrained network as it is."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import SourceBatch
from tlda.method import Method


class ZeroShot(Method):
    """The floor of a table of fine-tuning: the network as it is made, or as ``init_from`` has it; a fit trains nothing.

    It is of use where the head answers without training: a language model's own, one of texts, or that of a checkpoint.
    """

    takes_no_loss: ClassVar[str] = "ZeroShot trains nothing that a loss could change"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.requires_grad_(False)

    def training_step(self, batch: SourceBatch, batch_idx: int) -> Tensor:
        return torch.zeros((), requires_grad=True)  # a loss of nothing, in which no parameter has a part
