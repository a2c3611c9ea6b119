"""A policy as a method: it learns, goes on exactly, starts from another, and stays near it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint

import tlda
from tests.helpers.saves import Saves
from tests.helpers.toy import Toy, trainer
from tlda.backbones import PolicyMLP
from tlda.batch import Output, Sample, SourceBatch
from tlda.errors import UserError
from tlda.losses import L2SP, MMD, Loss
from tlda.methods import DANN
from tlda.optim import Adam
from tlda.rl import Physics, Policy, PolicyDivergence
from tlda.rl import policy as policy_module
from tlda.rl.policy_divergence import kl_divergence
from tlda.rl.ppo import clipped_loss
from tlda.tasks import Classification, Control
from tlda.training.averaging import SWAD

ROLLOUTS = 3
FOLDER = TemporaryDirectory()
LONG: dict[str, float | list[float]] = {"length": 1.5}


def physics(**options: Any) -> Physics:
    return Physics(target=LONG, rollouts=ROLLOUTS, **{"environments": 2, "horizon": 16, "episodes": 2, **options})


def policy(**options: Any) -> Policy:
    seed_everything(0, verbose=False)
    return Policy(backbone=PolicyMLP(4, (8,)), task=Control(["0", "1"]), **{"passes": 2, "minibatches": 2, **options})


class Signs(gymnasium.Env):  # type: ignore[misc]
    """Says 1 or -1, and pays 1 for the action that stands for it; an episode is eight steps."""

    observation_space, action_space = spaces.Box(-1.0, 1.0, (1,)), spaces.Discrete(2)

    def __init__(self, right: int = 1) -> None:
        self.right = right

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.sign = int(self.np_random.integers(2))
        return self.seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        paid = float(int(action) == (self.sign if self.right == 1 else 1 - self.sign))
        self.sign = int(self.np_random.integers(2))
        return self.seen(), paid, False, False, {}

    def seen(self) -> Any:
        return np.array([2.0 * self.sign - 1.0], dtype=np.float32)


gymnasium.register("Signs-v0", entry_point=Signs, max_episode_steps=8)


def learnt(learn_in: Literal["source", "target"] = "source") -> list[float]:
    """The greedy return on the target, of which 8 is the most and 4 is chance, before and after training."""
    seed_everything(0, verbose=False)
    network = PolicyMLP(1, (8,))
    method = Policy(backbone=network, task=Control(["0", "1"]), optimizer=Adam(0.03), learn_in=learn_in)
    trainer(1).fit(method, Physics("Signs-v0", rollouts=3, environments=4, horizon=16, episodes=4))
    return returns(method)


def test_a_policy_learns_what_pays() -> None:
    assert learnt()[-1] == 8.0


def test_a_policy_whose_advantages_have_the_wrong_sign_learns_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(new: torch.Tensor, before: torch.Tensor, advantages: torch.Tensor, clip: float) -> torch.Tensor:
        return clipped_loss(new, before, -advantages, clip)

    monkeypatch.setattr(policy_module, "clipped_loss", wrong)
    assert learnt()[-1] == 0.0


def returns(method: Policy) -> list[float]:
    """The greedy returns after each epoch."""
    return [value for _, value in method.curve]


def test_the_curve_is_by_the_steps_that_were_made() -> None:
    method, data = policy(), physics()
    run = trainer(2, limit_train_batches=2)
    run.fit(method, data)
    assert [steps for steps, _ in method.curve] == [0, 64, 128]
    (_, target) = run.test(method, data, verbose=False)
    a, b, c = returns(method)
    assert target["test/target/return_area"] == pytest.approx((a / 2 + b + c / 2) / 2)


class Begins(Callback):
    """Keeps the weights of both networks as the epochs begin."""

    def __init__(self) -> None:
        self.backbones: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.backbones.append(pl_module.backbone.layers[0].weight.detach().clone())
        self.values.append(pl_module.value[1].weight.detach().clone())


@cache
def whole() -> tuple[Policy, dict[str, float], Path]:
    """A source policy of two epochs, what its test measured, and the folder of its checkpoints."""
    folder = Path(FOLDER.name)
    method, data = policy(learn_in="source"), physics()
    keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    run = trainer(2, enable_checkpointing=True, callbacks=[keep, Saves(folder, 2, 4)])
    run.fit(method, data)
    (_, target) = run.test(method, data, verbose=False)
    return method, {**target}, folder


@pytest.mark.parametrize("checkpoint", ["epoch=0.ckpt", "after-2.ckpt", "after-4.ckpt"])
def test_a_run_goes_on_exactly(checkpoint: str) -> None:
    method, _, folder = whole()
    resumed = policy(learn_in="source")
    torch.manual_seed(12345)  # whatever happened in between must not matter
    trainer(2).fit(resumed, physics(), ckpt_path=folder / checkpoint, weights_only=True)
    assert resumed.curve == method.curve
    for key, value in method.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_the_curve_has_the_return_at_each_budget() -> None:
    method, measured, _ = whole()
    steps = ROLLOUTS * 2 * 16
    assert [measured[f"test/target/return_at_{number * steps}"] for number in range(3)] == pytest.approx(returns(method))
    assert measured["test/target/return"] == pytest.approx(returns(method)[-1])
    a, b, c = returns(method)
    assert measured["test/target/return_area"] == pytest.approx((a / 2 + b + c / 2) / 2)


def test_a_checkpoint_alone_is_the_policy_with_its_statistics() -> None:
    method, _, folder = whole()
    loaded = tlda.load(folder / "epoch=1.ckpt")
    x = torch.randn(5, 4)
    assert torch.equal(loaded(x).logits, method(x).logits)
    assert float(method.backbone.observed.count) == 2 * ROLLOUTS * 2 * 16  # type: ignore[arg-type, union-attr]


def test_statistics_are_those_of_all_that_was_seen() -> None:
    seen, net = [torch.randn(7, 3, 4) * 3 + 1, torch.randn(5, 4)], PolicyMLP(4, (8,))
    for x in seen:
        net.observed.see(x)
    rows = torch.cat([x.reshape(-1, 4) for x in seen])
    assert torch.allclose(net.observed(rows), (rows - rows.mean(0)) / rows.std(0, correction=0), atol=1e-5)


def test_zero_shot_is_the_source_policy_as_it_was() -> None:
    source, measured, folder = whole()
    method, data = policy(rate=0.0, init_from=str(folder / "epoch=1.ckpt")), physics()
    run = trainer(1)
    run.fit(method, data)
    for key, value in source.state_dict().items():
        assert torch.equal(value, method.state_dict()[key]), key
    assert returns(method) == [pytest.approx(measured["test/target/return"])] * 2


@pytest.mark.parametrize("new", [False, True])
def test_a_policy_starts_from_another_and_its_value_network_unless_that_is_new(new: bool) -> None:
    source, _, folder = whole()
    method, seen = policy(init_from=str(folder / "epoch=1.ckpt"), new_value=new), Begins()
    trainer(1, callbacks=[seen]).fit(method, physics())
    assert torch.equal(seen.backbones[0], source.backbone.layers[0].weight)  # type: ignore[index, union-attr]
    assert torch.equal(seen.values[0], source.value[1].weight) != new  # type: ignore[arg-type]


def test_the_value_network_learns_first_and_alone() -> None:
    method, seen = policy(value_first=0.5), Begins()
    trainer(2, callbacks=[seen]).fit(method, physics())
    assert torch.equal(seen.backbones[0], seen.backbones[1])
    assert not torch.equal(seen.values[0], seen.values[1])
    assert not torch.equal(seen.backbones[1], method.backbone.layers[0].weight)  # type: ignore[index, union-attr]


def test_the_rate_is_the_methods_own() -> None:
    groups = policy(rate=0.1, lr_multipliers={"head": 2.0}).parameter_groups()
    assert {group["name"]: group["lr_multiplier"] for group in groups} == pytest.approx({"backbone": 0.1, "head": 0.2, "value": 0.1})


@cache
def moved(loss: type[Loss] | None) -> tuple[float, float]:
    """How far a policy moves from the source's under a large weight of ``loss``: the divergence, and the distance of weights."""
    start = str(whole()[2] / "epoch=1.ckpt")
    method, seen = policy(init_from=start, plus=[loss(100.0)] if loss else []), Begins()
    trainer(1, callbacks=[seen]).fit(method, physics())
    weights: torch.Tensor = method.backbone.layers[0].weight.detach()  # type: ignore[index, union-attr]
    before, after = tlda.load(start)(x := torch.randn(64, 4)).logits, method(x).logits
    return float(kl_divergence(after, before).detach()), float((weights - seen.backbones[0]).norm())


def test_a_policy_that_is_held_moves_less() -> None:
    assert moved(PolicyDivergence)[0] < 0.7 * moved(None)[0]
    assert moved(L2SP)[1] < 0.7 * moved(None)[1]


def test_the_divergence_is_that_of_two_categorical_distributions() -> None:
    logits, start = torch.randn(6, 3, dtype=torch.float64, requires_grad=True), torch.randn(6, 3, dtype=torch.float64)
    own, other = (torch.distributions.Categorical(logits=part) for part in (logits, start))
    expected = torch.distributions.kl_divergence(own, other).mean()
    assert torch.allclose(kl_divergence(logits, start), expected)
    found, wanted = (torch.autograd.grad(value, logits)[0] for value in (kl_divergence(logits, start), expected))
    assert torch.allclose(found, wanted)


def test_the_start_of_the_divergence_is_the_policy_at_the_start() -> None:
    method = policy(plus=[PolicyDivergence(2.0)])
    method.losses["policy_divergence"].begin(method)  # type: ignore[operator]
    x = torch.randn(4, 4)
    batch = SourceBatch(Sample(x, torch.zeros(4), torch.arange(4)))
    assert float(method.added(batch, method(x), None)["policy_divergence"].detach()) == pytest.approx(0.0, abs=1e-6)
    shifted = Output(method(x).features, method(x).logits + torch.tensor([1.0, -1.0]))
    assert float(method.added(batch, shifted, None)["policy_divergence"]) == pytest.approx(
        2 * float(kl_divergence(shifted.logits, method(x).logits))
    )


def test_bfloat16_trains() -> None:
    method = policy(init_from=None)
    trainer(1, precision="bf16-mixed").fit(method, physics())
    assert all(bool(value.isfinite().all()) for value in method.state_dict().values())


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match="'mmd' looks at the target: leave it out"):
        policy(plus=[MMD()])
    with pytest.raises(UserError, match="take --data Physics"):
        Policy(backbone=PolicyMLP(4), task=Classification(["a", "b"]))
    with pytest.raises(UserError, match="PolicyDivergence compares policies"):
        DANN(backbone=PolicyMLP(4), task=2, plus=[PolicyDivergence()])
    with pytest.raises(UserError, match="DANN learns from rows, and Physics has roll-outs: take --model Policy"):
        trainer(1).fit(DANN(backbone=PolicyMLP(4), task=Control(["0", "1"])), physics())
    with pytest.raises(UserError, match=r"set --model\.backbone\.num_inputs 4"):
        trainer(1).fit(Policy(backbone=PolicyMLP(3), task=Control(["0", "1"])), physics())
    with pytest.raises(UserError, match=r"use --model\.average EMA"):
        trainer(1).fit(policy(average=SWAD()), physics())
    with pytest.raises(UserError, match="there are no rows to predict"):
        trainer(1).predict(policy(), physics())
    with pytest.raises(UserError, match="Policy"):
        trainer(1).fit(policy(), Toy())
