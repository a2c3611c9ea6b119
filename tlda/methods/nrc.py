"""Neighbourhood reciprocity clustering."""

from typing import Any

import torch
from torch import Tensor

from tlda.losses import attraction
from tlda.methods.neighbours import Neighbours


class NRC(Neighbours):
    """Source-free: a row answers as those near it do, most as those that it is near to in turn (Yang et al., NeurIPS 2021).

    Args:
        neighbours: how many near rows a row looks at.
        expanded: how many near rows of each of those it looks at too.
        affinity: the weight of a near row that the row is not near to, and of the expanded ones.
    """

    def __init__(self, *, neighbours: int = 4, expanded: int = 3, affinity: float = 0.1, **kwargs: Any) -> None:
        super().__init__(neighbours=neighbours, **kwargs)
        self.expanded, self.affinity = expanded, affinity

    def attracted(self, p: Tensor, rows: Tensor) -> dict[str, Tensor]:
        near = self.nearest(rows)
        beyond = self.nearest(near.flatten())[:, : self.expanded].view(*near.shape, -1)
        mutual = (beyond == rows[:, None, None]).any(2)
        mean = p.mean(0)
        return {
            "neighbours": attraction(p, self.bank.predictions[near], torch.where(mutual, 1.0, self.affinity)),
            "expanded": self.affinity * attraction(p, self.bank.predictions[beyond.flatten(1)]),
            "diversity": (mean * (mean + 1e-5).log()).sum(),
        }
