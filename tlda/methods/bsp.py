"""Batch spectral penalty."""

from typing import Any

from tlda import losses
from tlda.methods.cdan import CDAN


class BSP(CDAN):
    """CDAN with a penalty on the largest singular values of the features (Chen et al., ICML 2019).

    The authors add it to CDAN+E (``entropy: true``) with dropout in the domain discriminator.

    Args:
        penalty: the weight of the penalty.
    """

    def __init__(self, *, penalty: float = 1e-4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("spectrum", losses.BSP(penalty))
