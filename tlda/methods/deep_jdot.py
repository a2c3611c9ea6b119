"""Joint distribution optimal transport."""

from typing import Any

from tlda import losses
from tlda.method import Method


class DeepJDOT(Method):
    """DeepJDOT: the cost of moving source features and labels onto the target's (Damodaran et al., ECCV 2018).

    The authors draw class-balanced source batches, ``data.balanced``, and find the plan by squared label distance, ``squared_labels``.

    Args:
        trade_off: the weight of the transport's cost.
        feature_weight: the cost of the features' squared distance.
        label_weight: the cost of the labels' cross-entropy.
        squared_labels: whether the plan is found by squared label distance, as in the authors' code; by default by the cost itself.
    """

    def __init__(
        self,
        *,
        trade_off: float = 1.0,
        feature_weight: float = 1e-3,
        label_weight: float = 1e-4,
        squared_labels: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.add_loss("transport", losses.DeepJDOT(trade_off, feature_weight, label_weight, squared_labels=squared_labels))
