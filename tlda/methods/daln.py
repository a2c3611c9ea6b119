"""A discriminator-free adversary."""

from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import Output, Pair
from tlda.inputs import of_source
from tlda.losses import nuclear_wasserstein
from tlda.method import Method
from tlda.nn import reverse_gradient
from tlda.optim import ramp


class DALN(Method):
    """The classifier is the critic: it tells the domains apart by the nuclear norm of its predictions (Chen et al., CVPR 2022).

    Args:
        trade_off: the weight of the discrepancy, whose gradient is reversed for the features, with the ramp of DANN.
    """

    reads_classes: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off = trade_off

    @property
    def batch_type(self) -> type:
        return Pair

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        own = of_source(batch, source)[1] if self.few_labels else source
        first, second = (self.head(reverse_gradient(part.features, ramp(self.progress))) for part in (own, target))
        return {**super().objective(batch, source, target), "discrepancy": -self.trade_off * nuclear_wasserstein(first, second)}
