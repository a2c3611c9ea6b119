"""Adversarial discriminative domain adaptation."""

from typing import Any

from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Optimizer

from tlda.batch import Output, Pair
from tlda.losses import domain_adversarial
from tlda.methods.base import ManualMethod
from tlda.nn import Snapshot, critic, without_noise
from tlda.optim import GanAdam, Optim, named_groups, part_of


class ADDA(ManualMethod):
    """Train on the source; then train a target network to fool a domain discriminator, under the same head (Tzeng et al., CVPR 2017).

    Args:
        pretrain: the fraction of the run spent on the source; 0 where ``init_from`` names a pretrained checkpoint.
        gan: the optimizer of the target network and the domain discriminator after it; :class:`GanAdam`, the authors', where none is given.
        hidden: the width of the domain discriminator's hidden layers.
    """

    batchnorm, fixed_batchnorm, few_labels_fit = "separate", True, False

    def __init__(self, *, pretrain: float = 0.5, gan: Optim | None = None, hidden: int = 500, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pretrain, self.gan = pretrain, gan or GanAdam()
        self.source_network, self.critic = Snapshot(self.backbone, self.bottleneck), critic(self.num_features, hidden)

    @property
    def batch_type(self) -> type:
        return Pair

    def optimizer_list(self) -> list[Optimizer]:
        target = [{**group, "name": f"adversarial_{group['name']}"} for group in self.parameter_groups() if part_of(group) != "head"]
        # As in the authors' code the second stage is a training of its own, which starts without the moments of the source's loss.
        return [self.optimizer(self.parameter_groups()), self.gan(target), self.gan(named_groups({"critic": self.critic}, {}))]

    def step_batch(self, batch: Pair) -> None:
        """Train on the source until ``pretrain``; then step the domain discriminator, and the target network against it."""
        pretraining, target_network, critic = self.made_optimizers()
        if self.progress >= self.pretrain and not self.source_network.taken:
            self.source_network.take(self.backbone, self.bottleneck)
        if not self.source_network.taken:
            self.step(self.source_objective(batch, self(batch.source.x)), pretraining)
            return
        outputs = self.forward_pair(batch)
        self.step({"critic": domain_adversarial(*(self.critic(output.features.detach()).float() for output in outputs))}, critic)
        self.step(self.objective(batch, *outputs), target_network)

    def forward_pair(self, batch: Pair) -> tuple[Output, Output]:
        features = self.source_network(batch.source.x)
        # It has no dropout; by the target's, a critic would tell even equal networks on equal images apart.
        with without_noise(self):
            return Output(features, self.task.arrange(self.head(features), batch.source.x)), self(batch.target.x)

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        return {**super().objective(batch, source, target), "mapping": softplus(-self.critic(target.features).float()).mean()}
