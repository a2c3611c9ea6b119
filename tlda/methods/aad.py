"""Attracting and dispersing."""

from typing import Any

from torch import Tensor

from tlda.losses import attraction, dispersion
from tlda.methods.neighbours import Neighbours


class AaD(Neighbours):
    """Source-free: a row answers as those near it do, and unlike the others of its batch (Yang et al., NeurIPS 2022).

    Args:
        neighbours: how many near rows a row looks at.
        decay: how fast the dispersion fades, as ``(1 + 10 progress)`` to the power of minus it; the authors have 0 to 5.
    """

    def __init__(self, *, neighbours: int = 5, decay: float = 1.0, **kwargs: Any) -> None:
        super().__init__(neighbours=neighbours, **kwargs)
        self.decay = decay

    def attracted(self, p: Tensor, rows: Tensor) -> dict[str, Tensor]:
        weight = (1 + 10 * self.progress) ** -self.decay
        return {"attraction": attraction(p, self.bank.predictions[self.nearest(rows)]), "dispersion": weight * dispersion(p)}
