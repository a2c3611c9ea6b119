"""Joint distribution optimal transport."""

from typing import Any

from tlda import losses
from tlda.method import Method


class DeepJDOT(Method):
    """DeepJDOT: the cost of moving source features and labels onto the target's (Damodaran et al., ECCV 2018).

    Args:
        trade_off: the weight of the transport's cost.
        feature_weight: the cost of the features' squared distance.
        label_weight: the cost of the labels' cross-entropy.
    """

    def __init__(self, *, trade_off: float = 1.0, feature_weight: float = 1e-3, label_weight: float = 1e-4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("transport", losses.DeepJDOT(trade_off, feature_weight, label_weight))
