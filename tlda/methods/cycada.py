"""Cycle-consistent adversarial domain adaptation."""

from typing import Any

from torch import Tensor

from tlda.batch import Output, Pair, SourceBatch
from tlda.errors import UserError
from tlda.losses import DomainAdversarial, semantic_consistency
from tlda.methods.cyclegan import CycleGAN
from tlda.translation.cycle import Made


class CyCADA(CycleGAN):
    """CycleGAN that keeps classes, then features that hide which images are translated (Hoffman et al., ICML 2018).

    A batch of the first stage trains as :class:`CycleGAN` does, and the generators besides so that the source's classifier, frozen,
    gives an image and its translation one class. In the second the generators rest, and the features of translated and target
    images are aligned.

    Args:
        semantic: the weight of the classes' consistency (eq. 4).
        pixel: the fraction of the run at which the second stage begins; 1 for none.
        trade_off: the coefficient of the reversed gradient in the second stage, at full ramp; the ramp is over the whole run, so that
            the second stage begins near it.
        hidden: the width of the domain discriminator's hidden layers.
    """

    def __init__(self, *, semantic: float = 1.0, pixel: float = 0.6, trade_off: float = 1.0, hidden: int = 500, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if pixel != 0 and not self.pretrain < pixel <= 1:
            raise UserError(
                f"--model.pixel is {pixel} and --model.pretrain {self.pretrain}: the second stage begins once the classifier is trained, "
                "or nothing is translated, and at 1 at most"
            )
        self.semantic, self.pixel = semantic, pixel
        self.add_loss("domain", DomainAdversarial(trade_off, hidden))

    def step_batch(self, batch: Pair) -> None:
        if self.progress < self.pixel:
            super().step_batch(batch)
        else:
            classifier, *_ = self.made_optimizers()
            self.step(self.objective(batch, *self.forward_pair(batch)), classifier)

    def forward_pair(self, batch: Pair | SourceBatch) -> tuple[Output, Output]:
        return super().forward_pair(batch if self.progress >= self.pixel else SourceBatch(batch.source))

    def translation_terms(self, made: Made) -> dict[str, Tensor]:
        judge = self.translator.judge
        pairs = ((made.source, made.to_target), (made.target, made.to_source))
        consistency = [semantic_consistency(judge(after).logits, judge(before).logits) for before, after in pairs]
        return {**super().translation_terms(made), "semantic": self.semantic * sum(consistency[1:], consistency[0])}

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        if self.progress < self.pixel:
            return self.source_objective(batch, source)
        return super().objective(batch, source, target)
