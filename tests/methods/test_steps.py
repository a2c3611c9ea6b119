"""What each optimizer step of a method moves, where it makes several steps of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tlda.method import Method
from tlda.methods import MCD, WDGRL

PARTS = ("backbone", "bottleneck", "head", "critic")
FEATURES = {"backbone", "bottleneck"}


class Steps(Callback):
    """The parts that each step of an optimizer moved, in order."""

    def __init__(self) -> None:
        self.moved: list[set[str]] = []
        self.now: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.now = self.weights(pl_module)
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(lambda *_: self.note(pl_module))

    def note(self, method: Method) -> None:
        before, self.now = self.now, self.weights(method)
        self.moved.append({name for name in self.now if not torch.equal(before[name], self.now[name])})

    @staticmethod
    def weights(method: Any) -> dict[str, Tensor]:
        parts = {name: getattr(method, name) for name in PARTS if hasattr(method, name)}
        return {name: torch.cat([p.detach().flatten().clone() for p in part.parameters()]) for name, part in parts.items()}


def steps_of(method: Method) -> list[set[str]]:
    """What each step of one batch moved."""
    watch = Steps()
    trainer(1, limit_val_batches=0, callbacks=[watch]).fit(method, Toy(steps=1))
    return watch.moved


def measured(method: Method, measure: Callable[[Any], Tensor]) -> list[float]:
    """The ``measure`` of a batch after each step that is made on it."""
    told: list[float] = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
            for optimizer in trainer.optimizers:
                optimizer.register_step_post_hook(lambda *_: told.append(self.value(batch)))

        @torch.no_grad()
        def value(self, batch: Any) -> float:
            return measure(batch).item()

    trainer(1, limit_val_batches=0, callbacks=[Watch()]).fit(method, Toy(steps=1))
    return told


@pytest.mark.parametrize("feature_steps", [1, 3])
def test_mcd_trains_all_then_the_heads_then_the_features(feature_steps: int) -> None:
    torch.manual_seed(0)
    method = MCD(feature_steps=feature_steps, backbone=Tiny(), bottleneck=6, task=CLASSES)
    both = [FEATURES, {"head"}]  # step A is of two optimizers
    assert steps_of(method) == [*both, {"head"}, *[FEATURES] * feature_steps]


@pytest.mark.parametrize("feature_steps", [0, 1])
def test_mcd_makes_its_heads_disagree_and_its_features_agree(feature_steps: int) -> None:
    torch.manual_seed(0)
    method = MCD(backbone=Tiny(dropout=0.0, batch_norm=False), task=CLASSES)
    method.feature_steps = feature_steps  # none, so that the others' work is seen
    _, after_a, after_b, *after_c = measured(method, lambda batch: method.discrepancy(method.features(batch.target.x)))
    assert after_b > after_a
    assert all(value < after_b for value in after_c)


@pytest.mark.parametrize("critic_steps", [1, 4])
def test_wdgrl_trains_its_critic_several_times_for_each_step_of_the_rest(critic_steps: int) -> None:
    torch.manual_seed(0)
    method = WDGRL(critic_steps=critic_steps, hidden=8, backbone=Tiny(), bottleneck=6, task=CLASSES)
    assert steps_of(method) == [*[{"critic"}] * critic_steps, {*FEATURES, "head"}]


def test_wdgrl_makes_its_critic_see_a_distance_and_its_features_reduce_it() -> None:
    torch.manual_seed(0)
    method = WDGRL(penalty=0.0, trade_off=100.0, hidden=8, backbone=Tiny(dropout=0.0, batch_norm=False), task=CLASSES)

    def distance(batch: Any) -> Tensor:
        return method.distance(*(output.features for output in method.forward_pair(batch)))

    *critic, rest = measured(method, distance)
    assert critic == sorted(critic)
    assert rest < critic[-1]
