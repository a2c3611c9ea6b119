"""Laplacian adjusted maximum-likelihood estimation."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Output
from tlda.methods.at_test import AtTest
from tlda.network import Network
from tlda.nn import use_batch_statistics
from tlda.nn.assignment import laplacian_assignment


class LAME(AtTest):
    r"""The answers of a batch are moved towards those of near rows; no weight changes (Boudiaf et al., CVPR 2022).

    .. math:: z_i \propto p_i \odot \exp \Big( \sum_{j \in N_i} z_j \Big)

    It gains where a batch has few classes, and loses where it has all.

    Args:
        neighbours: how many near rows pull at each.
        batch_statistics: whether BatchNorm normalises each batch by its own statistics, not by those of the source.
    """

    reads_classes: ClassVar[bool] = True
    whole_inputs: ClassVar[str] = "compares all rows of a batch"

    def __init__(self, *, neighbours: int = 5, batch_statistics: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.neighbours, self.own_statistics = neighbours, batch_statistics

    def begin(self) -> tuple[Network]:
        copied = self.network.copied()
        return (use_batch_statistics(copied) if self.own_statistics else copied,)

    @torch.no_grad()
    def adapt(self, x: Tensor) -> Output:
        features, logits = self.adapted[0](x)
        return Output(features, laplacian_assignment(logits.float().softmax(1), features.float(), self.neighbours).log())
