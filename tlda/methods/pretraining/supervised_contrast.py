"""Contrast that sees labels."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Batch, Sample
from tlda.errors import UserError
from tlda.inputs import joined
from tlda.methods.pretraining.sim_clr import SimCLR


class SupCon(SimCLR):
    """SimCLR where all source images of a class are views of each other: the row beside it that sees labels (Khosla et al., NeurIPS 2020).

    An image of the target, or one without a label, has its own views alone.
    """

    reads_classes: ClassVar[bool] = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.domains == "target":
            raise UserError(
                "SupCon learns from labels, and the target's are not seen: set --model.domains to both or source, or take SimCLR"
            )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x = joined([domain.x for domain in batch])
        labels = -1 - torch.arange(len(x), device=x.device)  # of its own each, where there is none
        if isinstance(batch[0], Sample):
            told = batch[0].y
            labels[: len(told)] = torch.where(told >= 0, told, labels[: len(told)])
        return self.total({"contrast": self.contrast(x, labels)})
