"""Minimax entropy."""

from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import Output, Pair
from tlda.losses import minimax_entropy
from tlda.method import Method
from tlda.nn import reverse_gradient


class MME(Method):
    """The head raises the entropy of the target's predictions, and the features lower it (Saito et al., ICCV 2019).

    It is made for a few labels of the target, ``few_labels``, and a cosine head, ``head: {temperature: 0.05}``; the authors have two
    unlabelled rows of the target per row of the source, ``data.unlabelled_ratio``.

    Args:
        trade_off: the weight of the entropy, the paper's lambda.
    """

    setting: ClassVar[str] = "semi-supervised"
    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off = trade_off

    @property
    def batch_type(self) -> type:
        return Pair

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        raised = minimax_entropy(self.head(reverse_gradient(target.features, 1.0)))
        return {**super().objective(batch, source, target), "entropy": -self.trade_off * raised}
