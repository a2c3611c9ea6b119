"""Maximum classifier discrepancy."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from tlda.batch import Pair, SourceBatch
from tlda.losses import classifier_discrepancy
from tlda.methods.base import ManualMethod
from tlda.nn import TwoHeads
from tlda.optim import part_of


class MCD(ManualMethod):
    """Maximum classifier discrepancy: two heads disagree on the target, the features make them agree (Saito et al., CVPR 2018).

    Args:
        feature_steps: how often the features are trained to agree per batch; the paper's n.
        hidden: the width of each head's hidden layer.
        dropout: before each layer of the heads, of each its own; the authors' digits have 0.5 there. None for none.
        digit_heads: whether heads have two hidden layers with BatchNorm, as the authors' digits, which have a weight decay of 0.0005 too.
    """

    reads_classes: ClassVar[bool] = True
    batchnorm, fixed_batchnorm = "separate", True

    def __init__(
        self, *, feature_steps: int = 4, hidden: int = 100, dropout: float | None = None, digit_heads: bool | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.feature_steps = feature_steps
        self.network.replace_head(TwoHeads(self.num_features, hidden, len(self.task.outputs), dropout or 0.0, bool(digit_heads)))

    @property
    def batch_type(self) -> type:
        return Pair

    def optimizer_list(self) -> list[Optimizer]:
        return [self.optimizer([g for g in self.parameter_groups() if (part_of(g) == "head") == heads]) for heads in (False, True)]

    def step_batch(self, batch: Pair) -> None:
        """Take the paper's steps A, B and C: all on the source, the heads to disagree, the features to make them agree."""
        features, heads = self.made_optimizers()
        source, target = self.forward_pair(batch if self.losses else SourceBatch(batch.source))
        self.step({"task": self.both_losses(batch, source.features), **self.added(batch, source, target)}, features, heads)
        fixed = torch.no_grad()(self.features)
        self.step({"task": self.both_losses(batch, fixed(batch.source.x)), "disagreement": -self.discrepancy(fixed(batch.target.x))}, heads)
        for _ in range(self.feature_steps):
            self.step({"discrepancy": self.discrepancy(self.features(batch.target.x))}, features)

    def both_losses(self, batch: Pair, features: Tensor) -> Tensor:
        """The cross-entropy of both heads on the source's features (n, d)."""
        first, second = (self.task_loss(logits, batch.source.y) for logits in self.head.both(features))
        return first + second

    def discrepancy(self, features: Tensor) -> Tensor:
        """The disagreement of the heads on the target's features (n, d)."""
        return classifier_discrepancy(*self.head.both(features))
