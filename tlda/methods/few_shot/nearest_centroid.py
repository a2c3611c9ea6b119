"""Supervised training on the base classes, then nearest centroids."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tlda.batch import EpisodeBatch, SourceBatch
from tlda.method import Method
from tlda.methods.few_shot.proto_net import ProtoNet


class NearestCentroid(ProtoNet):
    """A classifier of the base classes whose features answer episodes by the nearest mean (Chen et al., ICLR 2019).

    With ``--model.tuning LinearProbe`` the backbone stays as it is: an untrained network, that of ``--model.init_from``, or, by the
    backbone ``Pixels``, the images themselves.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def last_layer(self) -> nn.Module:
        """The classifier of the base classes."""
        return nn.Linear(self.num_features, len(self.few.base))

    @property
    def batch_type(self) -> type:
        return SourceBatch

    def training_step(self, batch: SourceBatch | EpisodeBatch, batch_idx: int) -> Tensor:
        return Method.training_step(self, batch, batch_idx)
