"""Cycle self-training."""

from typing import Any, ClassVar

from tlda.losses import CycleSelfTraining, TsallisEntropy
from tlda.method import Method


class CST(Method):
    """Cycle self-training: a head fitted to the target's pseudo-labels must do well on the source (Liu et al., NeurIPS 2021).

    The authors' code adds FixMatch on strongly augmented images and the optimizer SAM, which are methods of their own. The
    paper selects ``alpha`` by the source error of the fitted head; their code holds it at 1.9, and so does this. The commands that they
    published have the temperatures 3.0 and 2.5, and fit the second head to the backbone's features: here, without a bottleneck.

    Args:
        trade_off: the weight of the cycle's term.
        ridge: the weight of the squared norm of the fitted head.
        entropy: the weight of the Tsallis entropy on the target.
        alpha: the entropic index, at least 1.
        temperature: divides the logits in the entropy.
    """

    trains_on_certainty: ClassVar[bool] = True

    def __init__(
        self,
        *,
        trade_off: float = 2.0,
        ridge: float = 1e-3,
        entropy: float = 1.0,
        alpha: float = 1.9,
        temperature: float = 2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.add_loss("cycle", CycleSelfTraining(trade_off, ridge))
        self.add_loss("entropy", TsallisEntropy(entropy, alpha, temperature))
