"""Proximal policy optimisation as a method: its row of a table says which physics it learns in, and how fast."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tlda.backbones import PolicyMLP
from tlda.batch import Output, Sample, SourceBatch
from tlda.errors import UserError
from tlda.losses import Loss
from tlda.rl.curve import Followed
from tlda.rl.ppo import clipped_loss, entropy, gae, log_probability
from tlda.rl.rollouts import BATCHES, Judged, RandomisedRollout, Rollout, SourceRollout, TargetRollout
from tlda.tasks import Control
from tlda.training.checkpoint import read


class Policy(Followed):
    r"""Learn to act by proximal policy optimisation (PPO: Schulman et al., 2017).

    .. math:: -\frac{1}{n} \sum_i \min\left(r_i A_i,\ \operatorname{clip}(r_i, 1 - \epsilon, 1 + \epsilon) A_i\right)

    Each batch is a roll-out, on which it makes several passes. The value network is a copy of the backbone with a head of its own. With
    ``init_from`` it starts from another policy, whose value network it takes too.

    Args:
        learn_in: the physics whose roll-outs it learns from, of ``Physics``: ``target``, ``source`` or ``randomised``.
        rate: a factor on all learning rates, which is the method's own; with 0 nothing is learnt: zero-shot transfer.
        value_first: the fraction of the run, at its beginning, in which the value network alone learns.
        new_value: whether the value network starts anew where the policy does not.
        passes: the passes over a roll-out.
        minibatches: the steps of a pass.
        discount: the discount of a reward by one step.
        trace: the weight of longer roll-outs in the advantages, see :func:`tlda.rl.ppo.gae`.
        clip: how far the ratio of probabilities may move, see :func:`tlda.rl.ppo.clipped_loss`.
        bonus: the weight of the entropy of the actions.
        value_weight: the weight of the squared error of the values.
        max_norm: the largest norm of the gradient of a step.
    """

    setting: ClassVar[str] = "reinforcement"
    one_domain: ClassVar[bool] = True

    def __init__(
        self,
        *,
        learn_in: Literal["target", "source", "randomised"] = "target",
        rate: float = 1.0,
        value_first: float = 0.0,
        new_value: bool = False,
        passes: int = 6,
        minibatches: int = 4,
        discount: float = 0.99,
        trace: float = 0.95,
        clip: float = 0.2,
        bonus: float = 0.01,
        value_weight: float = 0.5,
        max_norm: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.task, Control):
            raise UserError(f"Policy chooses actions, and {type(self.task).__name__} has none: take --data Physics")
        self.learn_in, self.rate, self.value_first, self.new_value = learn_in, rate, value_first, new_value
        self.passes, self.minibatches, self.discount, self.trace = passes, minibatches, discount, trace
        self.clip, self.bonus, self.value_weight, self.max_norm = clip, bonus, value_weight, max_norm
        self.value = nn.Sequential(copy.deepcopy(self.backbone), nn.Linear(self.backbone.num_features, 1))

    @property
    def batch_type(self) -> type:
        return BATCHES[self.learn_in]

    def add_loss(self, name: str, loss: Loss) -> None:
        if loss.sees_target:
            raise UserError(f"Policy has roll-outs of one domain, and the loss '{name}' looks at the target: leave it out of --model.plus")
        super().add_loss(name, loss)

    def parameter_groups(self) -> list[dict[str, Any]]:
        groups = [*super().parameter_groups(), {"name": "value", "params": list(self.value.parameters()), "lr_multiplier": 1.0}]
        return [{**group, "lr_multiplier": self.rate * group["lr_multiplier"]} for group in groups]

    # Learning

    def act(self, x: Tensor) -> Tensor:
        """Draw an action (n,) for each of the observations (n, d)."""
        with torch.no_grad(), self.trainer.precision_plugin.forward_context():
            return torch.multinomial(self(x).logits.float().softmax(1), 1).squeeze(1)

    def step_batch(self, batch: SourceRollout | TargetRollout | RandomisedRollout) -> None:
        (rollout,), optimizer = batch, self.optimizers()
        self.steps_seen += rollout.actions.numel()
        if not self.rate:
            return
        backbones = [part for part in (self.backbone, self.value[0]) if isinstance(part, PolicyMLP)]
        new = [part for part in backbones if not part.observed.count]
        for part in new:
            part.observed.see(rollout.x[:-1])
        judged = self.judged(rollout)
        for _ in range(self.passes):
            for rows in torch.randperm(len(judged.x), device=self.device).chunk(self.minibatches):
                self.step(self.terms(Judged(*(part[rows] for part in judged))), optimizer)
        for part in backbones:
            if part not in new:  # after the steps: the actions were drawn by the statistics of before
                part.observed.see(rollout.x[:-1])

    @torch.no_grad()
    def judged(self, rollout: Rollout) -> Judged:
        """What the steps of ``rollout`` were worth, by the value network as it is now."""
        steps, count = rollout.actions.shape
        values = self.value(rollout.x.flatten(0, 1)).float().view(steps + 1, count)
        advantages, returns = gae(rollout.rewards, values, rollout.terminated, rollout.ended, self.discount, self.trace)
        x, actions = rollout.x[:-1].flatten(0, 1), rollout.actions.flatten()
        before = log_probability(self(x).logits.float(), actions)
        return Judged(*(part[rollout.counted.flatten()] for part in (x, actions, before, advantages.flatten(), returns.flatten())))

    def terms(self, judged: Judged) -> dict[str, Tensor]:
        """The terms of a step by name: the value's alone in the run's part that is ``value_first``."""
        value = self.value_weight * (self.value(judged.x).squeeze(1).float() - judged.returns).square().mean()
        if self.progress < self.value_first:
            return {"value": value}
        output = Output(*(part.float() for part in self(judged.x)))
        advantages = (judged.advantages - judged.advantages.mean()) / (judged.advantages.std() + 1e-8)
        policy = clipped_loss(log_probability(output.logits, judged.actions), judged.before, advantages, self.clip)
        batch = SourceBatch(Sample(judged.x, judged.actions, torch.arange(len(judged.x))))
        return {"policy": policy, "value": value, "entropy": -self.bonus * entropy(output.logits), **self.added(batch, output, None)}

    def step(self, terms: dict[str, Tensor], *optimizers: Any) -> None:
        for optimizer in optimizers:
            optimizer.zero_grad()
            self.manual_backward(self.total(terms))
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], self.max_norm)
            optimizer.step()

    def setup(self, stage: str) -> None:
        path = self.init_from
        super().setup(stage)
        if path and not self.new_value:
            state = read(path)["state_dict"]
            own = {name.removeprefix("value."): value for name, value in state.items() if name.startswith("value.")}
            if own:
                self.value.load_state_dict(own)

    def on_fit_start(self) -> None:
        if self.trainer.precision == "16-mixed":
            raise UserError("Policy clips gradients, which 16-mixed scales: use --trainer.precision bf16-mixed or 32-true")
        super().on_fit_start()
