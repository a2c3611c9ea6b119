"""Batch nuclear norm maximisation."""

from typing import Any, ClassVar

from tlda import losses
from tlda.method import Method


class BNM(Method):
    """Batch nuclear norm maximisation: certain and diverse predictions on the target (Cui et al., CVPR 2020).

    Args:
        trade_off: the weight of the norm.
    """

    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("nuclear", losses.BNM(trade_off))
