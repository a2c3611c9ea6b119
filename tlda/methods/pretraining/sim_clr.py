"""Contrast with the other images of the batch."""

from typing import Any

import torch
from torch import Tensor

from tlda.losses import sup_con
from tlda.methods.pretraining.base import Pretraining
from tlda.nn import projector


class SimCLR(Pretraining):
    """Two views of an image are to be more alike than those of any two images of the batch (Chen et al., ICML 2020).

    In several processes each contrasts the images of its own batch.

    Args:
        temperature: divides the cosines; the paper's for small batches and images.
        hidden: the width of the projector's hidden layer.
        width: the width of what is compared.
    """

    def __init__(self, *, temperature: float = 0.2, hidden: int = 512, width: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.temperature = temperature
        self.learnt["projector"] = projector(self.num_features, hidden, width)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        return {"contrast": self.contrast(x, torch.arange(len(x), device=x.device))}

    def contrast(self, x: Tensor, labels: Tensor) -> Tensor:
        """The contrastive loss of two views of images, where those of one label are alike."""
        first, second = (self.learnt["projector"](self.features(self.view(x))) for _ in range(2))
        return sup_con(first, second, labels, self.temperature)
