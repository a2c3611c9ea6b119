"""Class weights that stay near 1 where the evidence is weak."""

from typing import Any

from torch import Tensor

from tlda.errors import UserError
from tlda.methods.bbse import BBSE
from tlda.metrics.label_shift import regularized_class_weights


class RLLS(BBSE):
    r"""Regularised learning under label shift: BBSE whose weights stay near 1 (Azizzadenesheli et al., ICLR 2019).

    .. math:: w = 1 + \gamma \arg\min_{\theta \ge -1} \lVert C \theta - (\mu - C 1) \rVert_2 + \rho \lVert \theta \rVert_2

    Args:
        strength: the factor of the bound that is :math:`\rho`; the authors search it.
        gamma: how much of the difference from 1 is taken.
    """

    def __init__(self, *, strength: float = 0.01, gamma: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if strength < 0 or not 0 <= gamma <= 1:
            raise UserError(f"--model.strength is {strength} and --model.gamma {gamma}: the first is 0 or more, the second from 0 to 1")
        self.strength, self.gamma = strength, gamma

    def solve(self, joint: Tensor, target: Tensor, rows: int) -> Tensor:
        return 1.0 + self.gamma * (regularized_class_weights(joint, target, rows, self.strength) - 1.0)
