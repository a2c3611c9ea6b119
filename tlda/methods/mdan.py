"""Multiple source domain adversarial networks."""

from typing import Any, ClassVar, Literal

from torch import Tensor

from tlda.errors import UserError
from tlda.methods.source_critics import SourceCritics


class MDAN(SourceCritics):
    """Multiple source domain adversarial networks: the worst source domain counts, or all by their badness (Zhao et al., NeurIPS 2018).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the hidden layers of each source's discriminator.
        variant: ``soft``, the logarithm of the sum of the exponentials of the losses, or ``hard``, the largest.
        gamma: the sharpness of the soft variant.
    """

    setting: ClassVar[str] = "multi-source"

    def __init__(self, *, variant: Literal["soft", "hard"] = "soft", gamma: float = 10.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not gamma > 0:
            raise UserError(f"--model.gamma is {gamma}: the sharpness must be more than 0")
        self.variant, self.gamma = variant, gamma

    def weights(self, losses: Tensor) -> Tensor:
        largest = (losses == losses.max()).to(losses)
        return largest / largest.sum() if self.variant == "hard" else (self.gamma * losses).softmax(0)
