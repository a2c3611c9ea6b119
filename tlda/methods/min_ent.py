"""Entropy minimisation."""

from typing import Any, ClassVar

from tlda import losses
from tlda.method import Method


class MinEnt(Method):
    """Certain predictions on the target (Grandvalet and Bengio, NeurIPS 2004).

    Args:
        trade_off: the weight of the entropy.
    """

    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("entropy", losses.MinEnt(trade_off))
