"""Open-set domain adaptation by backpropagation."""

from typing import Any, ClassVar

from torch import Tensor, nn

from tlda.batch import Batch, Output, Pair
from tlda.losses import open_set_adversarial
from tlda.method import Method
from tlda.nn import reverse_gradient
from tlda.optim import ramp


class OSBP(Method):
    """A class for unknown rows, whose probability on the target the head fixes and the features move away from (Saito et al., ECCV 2018).

    Where the target has no unknown classes, that class is no answer.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp; it has the ramp of DANN, as in the common library.
        threshold: the probability t of the unknown class.
    """

    setting: ClassVar[str] = "open"
    reads_classes: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 1.0, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off, self.threshold = trade_off, threshold
        self.network.replace_head(nn.Linear(self.num_features, len(self.task.outputs) + 1))

    @property
    def batch_type(self) -> type:
        return Pair

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        reversed_features = reverse_gradient(target.features, self.trade_off * ramp(self.progress))
        unknown = open_set_adversarial(self.head(reversed_features), self.threshold)
        return {**super().objective(batch, source, target), "unknown": unknown}

    def added(self, batch: Batch, source: Output, target: Output | None) -> dict[str, Tensor]:
        """The terms of added losses, which see the source's classes alone."""
        first, second = (o and o._replace(logits=o.logits[:, : len(self.task.outputs)]) for o in (source, target))
        return super().added(batch, first or source, second)
