"""Minimum class confusion."""

from typing import Any, ClassVar

from tlda import losses
from tlda.method import Method


class MCC(Method):
    """Minimum class confusion of the predictions on the target (Jin et al., ECCV 2020).

    Args:
        trade_off: the weight of the confusion.
        temperature: the softmax's temperature.
    """

    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 1.0, temperature: float = 2.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("confusion", losses.MCC(trade_off, temperature))
