"""Risk extrapolation."""

from typing import Any, ClassVar

from torch import Tensor

from tlda.losses import risk_variance
from tlda.methods.penalised import Penalised
from tlda.methods.several_sources import Part


class VREx(Penalised):
    """Risk extrapolation by variance: the source domains are to have the same risk (Krueger et al., ICML 2021).

    Args:
        trade_off: the weight of the variance; DomainBed's is 10.
        anneal: the fraction of the run in which the weight is 1 at most; then the optimizer's moments start anew.
    """

    setting: ClassVar[str] = "generalisation"

    def __init__(self, *, trade_off: float = 10.0, anneal: float = 0.1, **kwargs: Any) -> None:
        super().__init__(trade_off=trade_off, anneal=anneal, **kwargs)

    def penalty(self, parts: list[Part], risks: Tensor) -> Tensor:
        return risk_variance(risks)
