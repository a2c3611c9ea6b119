"""A mean teacher for boxes."""

from typing import Any, ClassVar

from torch import Tensor, nn

from tlda.batch import Pair, Takes
from tlda.data.strong import of_adaptive_teacher
from tlda.errors import UserError
from tlda.inputs import map_size
from tlda.methods.mean_teacher import MeanTeacher, Strong
from tlda.nn import BatchNormUse
from tlda.nn.center_net import at_least, targets
from tlda.tasks import Detection


class BoxTeacher(MeanTeacher):
    """After a burn-in on the source, boxes that a mean teacher finds in the target are learnt in a strong view (Kay et al., *ALDI*, 2024).

    Target images go through BatchNorm by themselves, in the teacher and in the network, whose running statistics are the target's.

    Args:
        trade_off: the weight of the detection loss of the target's found boxes; the paper's.
        threshold: the score from which a found box is learnt: that from which CenterNet's authors draw one.
        pretrain: the fraction of the run that learns the source alone, the burn-in.
        momentum: what the teacher keeps of itself at each step, see :class:`MeanTeacher`.
        strong: augmentations of target images that move nothing; by default :func:`tlda.data.strong.of_adaptive_teacher`.
    """

    trains_on_certainty: ClassVar[bool] = True
    takes: ClassVar[Takes] = "images"
    batchnorm: BatchNormUse = "target"

    def __init__(
        self, *, trade_off: float = 1.0, threshold: float = 0.3, pretrain: float = 0.5, strong: Strong = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.task, Detection):
            raise UserError(f"BoxTeacher learns boxes that it finds, and {type(self.task).__name__} has none: give it data such as Boxes")
        self.task: Detection
        self.trade_off, self.threshold, self.pretrain = trade_off, threshold, pretrain
        self.strong = nn.Sequential(*(of_adaptive_teacher() if strong is None else strong))

    @property
    def batch_type(self) -> type:
        return Pair

    def training_step(self, batch: Pair, batch_idx: int) -> Tensor:
        if self.progress < self.pretrain:
            return self.total(self.source_objective(batch, self(batch.source.x)))
        found = self.found(batch.target.x)
        outputs = self.forward_pair((batch.source, batch.target._replace(x=self.strong(batch.target.x))))
        return self.total({**self.objective(batch, *outputs), "found": self.trade_off * self.task.loss(outputs[1].logits, found)})

    def found(self, x: Tensor) -> Tensor:
        """What is learnt of each position of images ``x`` where the boxes that the teacher finds are true: :func:`targets`."""
        logits = self.teacher(x)
        height, width = map_size(len(logits), x)
        boxes = at_least(self.threshold, self.task.boxes(logits, x))
        return targets(boxes, (height, width), x.shape[-2] // height, len(self.task.names))
