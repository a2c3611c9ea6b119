"""Bootstrap your own latent."""

from typing import Any

from torch import Tensor

from tlda.losses import byol
from tlda.methods.pretraining.taught import Taught
from tlda.nn import projector


class BYOL(Taught):
    """A predictor finds a moving average's projection of the other view (Grill et al., NeurIPS 2020).

    Args:
        momentum: what the average keeps of itself at each step at first; it rises to 1. The paper's 0.996 is for long runs.
        hidden: the width of the hidden layers of projector and predictor; the paper's is 4096.
        width: the width of what is predicted; the paper's is 256.
    """

    def __init__(self, *, momentum: float = 0.99, hidden: int = 512, width: int = 128, **kwargs: Any) -> None:
        super().__init__(momentum=momentum, **kwargs)
        self.learnt["projector"] = projector(self.num_features, hidden, width)
        self.learnt["predictor"] = projector(width, hidden, width)
        self.teach("projector")

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        views = [self.view(x) for _ in range(2)]
        predictions = [self.learnt["predictor"](self.learnt["projector"](self.features(view))) for view in views]
        targets = [self.teacher(view) for view in views]
        return {"prediction": byol(predictions[0], targets[1]) + byol(predictions[1], targets[0])}
