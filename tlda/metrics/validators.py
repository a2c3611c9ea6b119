"""Label-free measures of a network on the target, which may choose a checkpoint or a setting."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class InformationMaximization(Metric):
    """Entropy of the mean prediction minus the mean entropy of the predictions, in nats: 0 to log(classes).

    High where predictions are certain and all classes are in use (the mutual information of Krause et al., NeurIPS
    2010, eq. 2, as Musgrave et al., 2022, use it to validate). Update with logits (n, c).
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    mean: Tensor
    entropy: Tensor
    count: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.add_state("mean", torch.zeros(num_classes, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("entropy", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor) -> None:
        """Count a batch of target logits (n, c)."""
        p = logits.double().softmax(1)
        self.mean += p.sum(0)
        self.entropy += -torch.special.xlogy(p, p).sum()
        self.count += len(p)

    def compute(self) -> Tensor:
        """The measure over all rows counted, in nats."""
        mean = self.mean / self.count
        value: Tensor = -torch.special.xlogy(mean, mean).sum() - self.entropy / self.count
        return value
