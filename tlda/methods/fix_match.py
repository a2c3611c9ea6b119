"""FixMatch with the source as the labelled data and the target as the unlabelled."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tlda.batch import Output, Pair, Takes
from tlda.data.augment import Cutout, RandAugment
from tlda.data.augmenting import Augment
from tlda.losses import pseudo_label
from tlda.method import Method


class FixMatch(Method):
    """Confident predictions on the target's images are the labels of the same images, strongly augmented (Sohn et al., NeurIPS 2020).

    The weak view is the batch as the data gives it, so ``data.augment`` is the weak augmentation; the strong view is made from it.
    There is no ramp: an untrained network's first confident mistakes teach it to drop classes, so start one with ``init_from``
    from a run on the source. The authors have 7 unlabelled rows per labelled one, ``data.unlabelled_ratio``, and measure an average of the
    weights, as ``average`` EMA does.

    Args:
        trade_off: the weight of the strong view's cross-entropy.
        threshold: the probability from which a prediction is a label.
        strong: the strong augmentations, in order; :class:`RandAugment` and :class:`Cutout`, which mirror nothing, where none are given.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True
    takes: ClassVar[Takes] = "images"
    views: ClassVar[int] = 1
    """The strong views of a target image."""

    def __init__(self, *, trade_off: float = 1.0, threshold: float = 0.95, strong: Sequence[Augment] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off, self.threshold = trade_off, threshold
        self.strong = nn.Sequential(*((RandAugment(), Cutout()) if strong is None else strong))

    @property
    def batch_type(self) -> type:
        return Pair

    def forward_pair(self, batch: Pair) -> tuple[Output, Output]:
        """The outputs of the source, and of all views of the target, the weak one first: (2n, …)."""
        x = batch.target.x
        views = batch.target._replace(x=torch.cat((x, *(self.strengthen(x) for _ in range(self.views)))))
        return super().forward_pair(batch._replace(target=views))

    def strengthen(self, x: Tensor) -> Tensor:
        """The strong view of images (n, c, h, w); at full precision, since autocast would blur where a pixel is read."""
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            strong: Tensor = self.strong(x)
        return strong

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        weak, strong = (Output(*view) for view in zip(*(part.chunk(2) for part in target), strict=True))
        consistency = pseudo_label(strong.logits, self.threshold, labels_from=weak.logits)
        return {**super().objective(batch, source, weak), "consistency": self.trade_off * consistency}
