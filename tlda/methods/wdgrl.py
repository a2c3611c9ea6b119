"""Wasserstein distance guided representation learning."""

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer

from tlda.batch import Output, Pair
from tlda.losses import gradient_penalty
from tlda.methods.base import ManualMethod
from tlda.nn import critic


class WDGRL(ManualMethod):
    """A critic estimates the Wasserstein distance of the features, which they reduce (Shen et al., AAAI 2018).

    The critic has two hidden layers, the authors' has one.

    Args:
        trade_off: the weight of the distance.
        penalty: the weight of the critic's gradient penalty.
        critic_steps: the steps of the critic per batch.
        hidden: the width of the critic's hidden layers.
    """

    pairs_rows: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 1.0, penalty: float = 10.0, critic_steps: int = 5, hidden: int = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off, self.penalty, self.critic_steps = trade_off, penalty, critic_steps
        self.critic = critic(self.num_features, hidden)
        self.critic[-1] = nn.Linear(hidden, 1, bias=False)  # a bias would cancel in the distance

    @property
    def batch_type(self) -> type:
        return Pair

    def optimizer_list(self) -> list[Optimizer]:
        group = {"name": "critic", "params": list(self.critic.parameters()), "lr_multiplier": 1.0}
        return [self.optimizer(self.parameter_groups()), self.optimizer([group])]

    def step_batch(self, batch: Pair) -> None:
        """Step the critic ``critic_steps`` times on fixed features, then the network."""
        network, critic = self.made_optimizers()
        source, target = self.forward_pair(batch)
        fixed = source.features.detach(), target.features.detach()
        for _ in range(self.critic_steps):
            penalty = self.penalty * gradient_penalty(self.critic, *fixed, variant="wdgrl")
            self.step({"critic": -self.distance(*fixed), "penalty": penalty}, critic)
        self.step(self.objective(batch, source, target), network)

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        distance = self.trade_off * self.distance(source.features, target.features)
        return {**super().objective(batch, source, target), "wasserstein": distance}

    def distance(self, source: Tensor, target: Tensor) -> Tensor:
        """The critic's estimate of the distance between features (n, d) and (m, d) (eq. 1)."""
        gap: Tensor = self.critic(source).float().mean() - self.critic(target).float().mean()
        return gap
