"""Virtual adversarial domain adaptation."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Output, Pair, Takes
from tlda.losses import DomainAdversarial, MinEnt, vat
from tlda.method import Method
from tlda.nn import without_noise, without_statistics


class VADA(Method):
    """Adversarial alignment, certain predictions on the target, and none that a small perturbation changes (Shu et al., ICLR 2018, eq. 8).

    Left out: the authors' moving average of the weights (of decay 0.998), and turns of critic and features: a gradient is reversed.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp; the paper's lambda_d.
        source_trade_off: the weight of virtual adversarial training on the source; the paper's lambda_s.
        target_trade_off: the weight of it and of the entropy on the target; the paper's lambda_t.
        perturbation: its root mean square over the values of an image in 0..1; 0.0316 is the authors' norm of 3.5 on 3 x 32 x 32 in -1..1.
        hidden: the width of the critic's hidden layers.
    """

    trains_on_certainty: ClassVar[bool] = True
    takes: ClassVar[Takes] = "numbers"
    batchnorm = "target"  # as in the authors' code

    def __init__(
        self,
        *,
        trade_off: float = 0.01,
        source_trade_off: float = 1.0,
        target_trade_off: float = 0.01,
        perturbation: float = 0.0316,
        hidden: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_trade_off, self.target_trade_off, self.perturbation = source_trade_off, target_trade_off, perturbation
        self.add_loss("domain", DomainAdversarial(trade_off, hidden))
        self.add_loss("entropy", MinEnt(target_trade_off))

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        terms = super().objective(batch, source, target)
        vats = {"source_vat": self.source_trade_off * self.sensitivity(batch.source.x)}
        return terms | vats | {"target_vat": self.target_trade_off * self.sensitivity(batch.target.x)}

    def sensitivity(self, x: Tensor) -> Tensor:
        """The change of predictions under the worst small perturbation of images (n, c, h, w), in nats (eq. 7)."""
        # At single precision: in bf16 the step that finds the direction is lost, a cosine of 0.1 with the true one on LeNet.
        with without_noise(self), without_statistics(self), torch.autocast(x.device.type, enabled=False):
            return vat(lambda images: self(images).logits, x, radius=self.perturbation * x[0].numel() ** 0.5)
