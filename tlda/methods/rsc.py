"""Representation self-challenging."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tlda.batch import Output, SourceBatch
from tlda.errors import UserError
from tlda.method import Method


class RSC(Method):
    r"""Self-challenging: the head learns without the features that it leans on most (Huang et al., ECCV 2020, alg. 1), as in DomainBed.

    .. math:: -\frac{1}{n} \sum_i \log p_{y_i}(f_i \odot m_i), \quad m_{ij} = \left[\partial o_{y_i} / \partial f_{ij} \lt q_i\right]

    Args:
        features: the fraction of the features of a row that are muted, those with the largest gradient of the label's logit.
        rows: the fraction of the rows whose features are muted, those whose answer that changes most.

    Raises:
        UserError: a fraction is not between 0 and 1.
    """

    setting: ClassVar[str] = "generalisation"
    reads_classes: ClassVar[bool] = True

    def __init__(self, *, features: float = 1 / 3, rows: float = 1 / 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, value in (("features", features), ("rows", rows)):
            if not 0 < value < 1:
                raise UserError(f"--model.{name} is {value}: it is the fraction of {name} to mute, between 0 and 1")
        self.muted_features, self.muted_rows = features, rows

    def objective(self, batch: SourceBatch, source: Output, target: Output) -> dict[str, Tensor]:
        kept = self.kept(source.features.detach(), batch.source.y)
        return {"challenged": self.task_loss(self.head(source.features * kept), batch.source.y), **self.added(batch, source, target)}

    def kept(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mark the features (r, d) that are not muted: 1, else 0."""
        with torch.enable_grad():
            leaf = features.requires_grad_()
            logits = self.head(leaf)
            labelled = one_hot(labels.clamp_min(0), logits.shape[1]) * (labels >= 0)[:, None]
            gradients = torch.autograd.grad((logits * labelled).sum(), leaf)[0]
        with torch.no_grad():
            few = gradients < gradients.float().quantile(1 - self.muted_features, 1, keepdim=True)
            change = ((logits.softmax(1) - self.head(features * few).softmax(1)) * labelled).sum(1)
            unmoved = change < change.float().quantile(1 - self.muted_rows)
            kept: Tensor = few | unmoved[:, None]
            return kept.to(features)
