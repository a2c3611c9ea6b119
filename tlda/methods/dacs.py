"""Self-training on images in which classes of the source are pasted into the target."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tlda.batch import Pair, Takes
from tlda.data.strong import of_dacs
from tlda.errors import UserError
from tlda.losses import class_mix, weighted_cross_entropy
from tlda.methods.mean_teacher import MeanTeacher, Strong
from tlda.nn import BatchNormUse
from tlda.tasks import Segmentation


class DACS(MeanTeacher):
    """Half of a source image's classes are pasted into a target image, labelled by a mean teacher (Tranheden et al., WACV 2021, alg. 1).

    Each label of the teacher weighs the fraction of them that is certain. Added losses see the mixed images in place of the target's.

    Args:
        trade_off: the weight of the cross-entropy of mixed images.
        threshold: the probability from which a label of the teacher is certain; the paper's.
        momentum: what the teacher keeps of itself at each step, see :class:`MeanTeacher`; the paper's.
        strong: augmentations of mixed images that move nothing; by default those of the authors' code: colours change by a quarter in four
            of five images, and half of the images are blurred.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True
    takes: ClassVar[Takes] = "images"
    batchnorm: BatchNormUse = "separate"

    def __init__(self, *, trade_off: float = 1.0, threshold: float = 0.968, strong: Strong = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.task, Segmentation):
            raise UserError(f"DACS pastes the pixels of classes, and {type(self.task).__name__} has none: give it masks, such as CamVid's")
        self.trade_off, self.threshold = trade_off, threshold
        self.strong = nn.Sequential(*(of_dacs() if strong is None else strong))

    @property
    def batch_type(self) -> type:
        return Pair

    def training_step(self, batch: Pair, batch_idx: int) -> Tensor:
        mixed, weights = self.mixed(batch)
        outputs = self.forward_pair(mixed)
        term = self.trade_off * weighted_cross_entropy(outputs[1].logits, mixed[1].y, weights)
        return self.total({**self.objective(batch, *outputs), "mixed": term})

    @torch.no_grad()
    def mixed(self, batch: Pair) -> tuple[Any, Tensor]:
        """The batch with mixed images and their labels in place of the target, and the weight of each row of these, (r,)."""
        confidence, labels = self.teacher(batch.target.x).float().softmax(1).max(1)
        images, labels, pasted = class_mix(batch.source.x, batch.source.y, batch.target.x, labels)
        certain = (confidence >= self.threshold).float().mean()
        target = batch.source._replace(x=self.strong(images), y=labels, row=batch.target.row, domain=batch.target.domain)
        return (batch.source, target), torch.where(pasted, 1.0, certain)
