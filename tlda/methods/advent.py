"""Adversarial entropy minimisation."""

from typing import Any, ClassVar

from tlda.batch import Takes
from tlda.losses import EntropyMaps
from tlda.method import Method


class AdvEnt(Method):
    """The target's maps of entropies become like the source's, low but at borders (Vu et al., CVPR 2019): :class:`EntropyMaps`.

    Args:
        trade_off: the weight of the adversarial term; the paper's.
        width: the width of the discriminator's first layer.
        layers: the number of its layers, each of which halves the map.
    """

    takes: ClassVar[Takes] = "images"

    def __init__(self, *, trade_off: float = 0.001, width: int = 64, layers: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("entropy_maps", EntropyMaps(trade_off, width, layers))
