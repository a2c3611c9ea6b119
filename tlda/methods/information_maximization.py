"""Information maximisation."""

from typing import Any, ClassVar

from tlda.losses import InformationMaximization
from tlda.method import Method


class IM(Method):
    """Entropy with diversity: certain predictions on the target, spread over the classes (Krause et al., NeurIPS 2010).

    Args:
        trade_off: the weight of the term.
    """

    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("information", InformationMaximization(trade_off))
