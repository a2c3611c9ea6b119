"""Pseudo-labels on the target."""

from typing import Any, ClassVar

from tlda.losses import PseudoLabel as PseudoLabelLoss
from tlda.method import Method


class PseudoLabel(Method):
    """The target's predictions are its labels, with a weight that grows over the run (Lee, ICML workshop 2013).

    Args:
        trade_off: the weight of the target's cross-entropy at full ramp.
        threshold: the probability from which a prediction is a label; 0 for all, as in the paper.
    """

    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 3.0, threshold: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("pseudo_label", PseudoLabelLoss(trade_off, threshold))
