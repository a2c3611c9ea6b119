"""Cross-domain adaptive clustering."""

import math
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import mse_loss

from tlda.batch import Output, Pair
from tlda.losses import adaptive_clustering, alike, pseudo_label
from tlda.method import Method
from tlda.methods.fix_match import FixMatch
from tlda.nn import reverse_gradient


class CDAC(FixMatch):
    """Target rows with the same greatest features get one class, against the head, and strong views agree (Li et al., CVPR 2021).

    It is made for a few labels of the target, ``few_labels``, and a cosine head, ``head: {temperature: 0.05}``; the authors have two
    unlabelled rows of the target per row of the source, ``data.unlabelled_ratio``.

    Args:
        top: how many of a row's greatest features must be those of another row.
        consistency: the weight of the squared distance of two strong views' predictions, at the end of its ramp.
        warmup: the fraction of the run that the ramp takes; the authors' 20,000 of 50,000 steps.
        trade_off: the weight of the clustering.
        threshold: the probability from which a prediction is a label of the strong view.
        strong: the strong augmentations, as for :class:`FixMatch`.
    """

    setting: ClassVar[str] = "semi-supervised"
    views: ClassVar[int] = 2

    def __init__(self, *, top: int = 5, consistency: float = 30.0, warmup: float = 0.4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.top, self.consistency, self.warmup = top, consistency, warmup

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        """The task loss, and the adversarial clustering, pseudo-labels and consistency of three views of the target."""
        weak, first, second = (Output(*view) for view in zip(*(part.chunk(3) for part in target), strict=True))
        rows, strong = (self.head(reverse_gradient(view.features, 1.0)) for view in (weak, first))
        clustering = adaptive_clustering(rows, strong, alike(weak.features.detach(), self.top))
        consistency = mse_loss(first.logits.float().softmax(1), second.logits.float().softmax(1))
        left = max(0.0, 1 - self.progress / self.warmup) if self.warmup else 0.0
        return {
            **Method.objective(self, batch, source, weak),
            "clustering": -self.trade_off * clustering,
            "pseudo_label": pseudo_label(second.logits, self.threshold, labels_from=weak.logits),
            "consistency": self.consistency * math.exp(-5 * left**2) * consistency,
        }
