"""Cycle-consistent translation, and a classifier of what is translated."""

from typing import Any, ClassVar

from torch import Tensor, optim

from tlda.batch import Output, Pair, SourceBatch, Takes
from tlda.methods.base import ManualMethod
from tlda.optim import GanAdam, Optim
from tlda.translation.cycle import Made, Translator


class CycleGAN(ManualMethod):
    r"""Source images in the look of the target, without pairs (Zhu et al., ICCV 2017), and a classifier that learns from them.

    .. math:: (D_t(G(x_s)) - 1)^2 + (D_s(F(x_t)) - 1)^2 + \lambda \big( |F(G(x_s)) - x_s| + |G(F(x_t)) - x_t| \big)

    Args:
        translator: generators, critics and their losses; :class:`Translator` where none is given.
        pretrain: the fraction of the run in which the classifier learns the untranslated source; 0 where ``init_from`` did so.
        gan: the optimizer of generators and critics; :class:`GanAdam` where none is given.
    """

    reads_classes, few_labels_fit = True, False
    takes: ClassVar[Takes] = "images"

    def __init__(self, *, translator: Translator | None = None, pretrain: float = 0.1, gan: Optim | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.translator, self.pretrain, self.gan = translator or Translator(), pretrain, gan or GanAdam()
        self.translator.build(self.backbone, self.bottleneck, self.head, self.num_features)

    @property
    def batch_type(self) -> type:
        return Pair

    def optimizer_list(self) -> list[optim.Optimizer]:
        return [self.optimizer(self.parameter_groups()), *(self.gan([group]) for group in self.translator.groups())]

    def step_batch(self, batch: Pair) -> None:  # the generators and their critics, once the pretraining is over, then the classifier
        self.translator.prepare(self, batch)
        classifier, generators, *critics = self.made_optimizers()
        if self.progress >= self.pretrain:
            self.step(self.translation_terms(made := self.translator.make(batch.source.x, batch.target.x)), generators)
            self.translator.follow()
            self.step(self.translator.critic_terms(made), *critics)
        self.step(self.objective(batch, *self.forward_pair(batch)), classifier)

    def translation_terms(self, made: Made) -> dict[str, Tensor]:  # CyCADA adds its own
        return self.translator.generator_terms(made)

    def forward_pair(self, batch: Pair | SourceBatch) -> tuple[Output, Output]:
        source = batch.source._replace(x=self.translator(batch.source.x))
        return super().forward_pair(batch._replace(source=source) if self.losses else SourceBatch(source))

    def answer(self, x: Tensor, domain: str) -> Output:
        return super().answer(self.translator.measure(x, domain) if self.is_validated else x, domain)  # what it learns from

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log_epoch(self.translator.measures.computed())
