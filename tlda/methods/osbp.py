"""Open-set domain adaptation by backpropagation."""

from typing import Any

from torch import Tensor

from tlda.batch import Output, Pair
from tlda.losses import open_set_adversarial
from tlda.methods.unknown_class import UnknownClass
from tlda.nn import reverse_gradient
from tlda.optim import ramp


class OSBP(UnknownClass):
    """A class for unknown rows, whose probability on the target the head fixes and the features move away from (Saito et al., ECCV 2018).

    Where the target has no unknown classes, that class is no answer.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp; it has the ramp of DANN, as in the common library.
        threshold: the probability t of the unknown class.
    """

    def __init__(self, *, trade_off: float = 1.0, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off, self.threshold = trade_off, threshold

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        reversed_features = reverse_gradient(target.features, self.trade_off * ramp(self.progress))
        unknown = open_set_adversarial(self.head(reversed_features), self.threshold)
        return {**super().objective(batch, source, target), "unknown": unknown}
