"""Class weights from what a classifier confuses."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Sample
from tlda.errors import UserError
from tlda.methods.weighted import Weighted, scattered
from tlda.metrics.label_shift import class_shares, class_weights, joint_shares
from tlda.nn import evaluating


class BBSE(Weighted):
    r"""Black-box shift estimation: for the second part of the run a source row counts as its class is frequent on the target.

    .. math:: w = C^{-1} \mu, \quad C_{ij} = P(\hat{y} = i, y = j), \quad \mu_i = P_t(\hat{y} = i)

    ``C`` is of held-out source rows (Lipton et al., ICML 2018). It is right where classes look alike, and only their shares differ.

    Args:
        start: the fraction of the run after which the weights are estimated.
        folds: one source row of so many is held out until then.
    """

    setting: ClassVar[str] = "label-shift"
    reads_classes: ClassVar[bool] = True
    class_weights: Tensor

    def __init__(self, *, start: float = 0.5, folds: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < start < 1 or folds < 2:
            raise UserError(f"--model.start is {start} and --model.folds {folds}: give a fraction between 0 and 1, and 2 folds or more")
        self.start, self.folds = start, folds
        self.register_buffer("class_weights", torch.zeros(len(self.task.classes)))  # all 0 until they are estimated

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        if self.progress >= self.start and not self.class_weights.any():
            self.class_weights.copy_(self.trainer.strategy.broadcast(self.estimate().to(self.class_weights)))

    def estimate(self) -> Tensor:
        """The weight of each class, (c,), by the network as it is."""
        with evaluating(self.network), self.trainer.precision_plugin.forward_context():
            batches = ((rows, self.held(rows) & (rows.y >= 0)) for rows in self.training_batches("source"))
            source = [(rows.y[held], self(rows.x).logits.argmax(1)[held]) for rows, held in batches]
            target = torch.cat([self(rows.x).logits.argmax(1) for rows in self.training_batches("target")]).cpu()
        labels, predicted = (torch.cat(part).cpu() for part in zip(*source, strict=True))
        return self.solve(joint_shares(predicted, labels, c := len(self.class_weights)), class_shares(target, c), len(labels))

    def solve(self, joint: Tensor, target: Tensor, rows: int) -> Tensor:
        """The weights of the confusion (c, c) of held-out ``rows`` of the source, and of the predicted shares (c,) of the target."""
        return class_weights(joint, target)

    def held(self, rows: Sample) -> Tensor:  # until the weights are estimated
        return scattered(rows.row) % self.folds == 0

    def weights(self, rows: Sample) -> Tensor:
        return self.class_weights[rows.y] if self.class_weights.any() else (~self.held(rows)).float()
