"""Adaptive feature norm."""

from typing import Any, Literal

from tlda import losses
from tlda.method import Method


class AFN(Method):
    """Adaptive feature norm: larger feature norms in both domains (Xu et al., ICCV 2019).

    Something must hold the norms: the authors' networks have BatchNorm or weight decay, and SGD. Under Adam alone they grow without end.

    Args:
        trade_off: the weight of the norm's term.
        variant: grow each norm by a step, or pull the mean norm to a radius.
        start: the fraction of the run from which the term counts; by default from the first step. The authors of ``hard`` begin on the
            source alone on VisDA (10 epochs), and have the weight 0.01 there.
    """

    def __init__(
        self, *, trade_off: float = 0.05, variant: Literal["stepwise", "hard"] = "stepwise", start: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.add_loss("norm", losses.AFN(trade_off, variant, start=start))
