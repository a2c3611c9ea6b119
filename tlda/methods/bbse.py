"""Class weights from what a classifier confuses."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Sample
from tlda.errors import UserError
from tlda.methods.weighted import Weighted
from tlda.metrics.label_shift import class_shares, class_weights, joint_shares
from tlda.nn import evaluating

SCATTER = 2654435761
"""What row numbers are multiplied by, so that no order in which classes are stored decides which are held out (Knuth, TAOCP 6.4)."""


class BBSE(Weighted):
    r"""Black-box shift estimation: for the second part of the run a source row counts as its class is frequent on the target.

    .. math:: w = C^{-1} \mu, \quad C_{ij} = P(\hat{y} = i, y = j), \quad \mu_i = P_t(\hat{y} = i)

    ``C`` is of source rows that the first part was not trained on, ``\mu`` of the target's training rows (Lipton et al., ICML 2018). It is
    right where classes look alike in both domains and only their shares differ.

    Args:
        start: the fraction of the run after which the weights are estimated.
        folds: one source row of so many is held out until then.
    """

    setting: ClassVar[str] = "label-shift"
    reads_classes: ClassVar[bool] = True
    class_weights: Tensor
    estimated: Tensor

    def __init__(self, *, start: float = 0.5, folds: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < start < 1 or folds < 2:
            raise UserError(f"--model.start is {start} and --model.folds {folds}: give a fraction between 0 and 1, and 2 folds or more")
        self.start, self.folds = start, folds
        self.register_buffer("class_weights", torch.ones(len(self.task.classes)))
        self.register_buffer("estimated", torch.tensor(False))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        if self.progress >= self.start and not self.estimated:
            self.class_weights.copy_(self.trainer.strategy.broadcast(self.estimate().to(self.class_weights)))
            self.estimated.fill_(True)

    def estimate(self) -> Tensor:
        """The weight of each class, (c,), by the network as it is."""
        with evaluating(self.network), self.trainer.precision_plugin.forward_context():
            source = [(rows.y[self.held(rows)], self(rows.x).logits.argmax(1)[self.held(rows)]) for rows in self.training_batches("source")]
            target = torch.cat([self(rows.x).logits.argmax(1) for rows in self.training_batches("target")])
        labels, predicted = (torch.cat(part).cpu() for part in zip(*source, strict=True))
        count = len(self.class_weights)
        return self.solve(joint_shares(predicted, labels, count), class_shares(target.cpu(), count), len(labels))

    def solve(self, joint: Tensor, target: Tensor, rows: int) -> Tensor:
        """The weights of the confusion (c, c) of held-out ``rows`` of the source, and of the predicted shares (c,) of the target."""
        return class_weights(joint, target)

    def held(self, rows: Sample) -> Tensor:
        """Which rows are held out until the weights are estimated, (n,)."""
        return (rows.row * SCATTER % 2**32 >> 16) % self.folds == 0

    def weights(self, rows: Sample) -> Tensor:
        return self.class_weights[rows.y] if self.estimated else (~self.held(rows)).float()
