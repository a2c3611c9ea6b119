"""Every method is alive: the target moves its network, and its critic, where it has one, is first right and then fooled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn

from tests.methods.test_learning import BASELINE, FAMILIES, FAMILY, UNSUPERVISED, fit, make, new, whole, without_alignment
from tlda.batch import SourceBatch
from tlda.data.augmenting import as_floats
from tlda.method import Method

STEPS = 10
"""Enough that each stage of each method comes: what a target moves, it moves in a few steps."""
WAITING = {"FixMatch": 50, "PseudoLabel": 50, "BBSE": 30, "RLLS": 30}
"""The steps of methods that learn from a target row as soon as the network is sure of it, or tells classes apart at all."""
ALONE = {"MEMO"}
"""They adapt to each row by itself, so that its company must not move its answer."""
CHASES = {"ADDA": 4, "DomainConfusion": 4, "STA": 4}
"""The epochs of methods whose features take long to fool the critic; two are enough for the others."""


class Outcome(NamedTuple):
    """What a run comes to: the backbone's parameters, and the answers to the same images in the target's company."""

    backbone: Tensor
    answers: Tensor


def outcome(name: str, family: str, target_seed: int, change: Callable[[Method], Method] = whole) -> Outcome:
    """That of a run on a target drawn by ``target_seed``; all else, the source and every random number, is the same."""
    method = change(make(name, family))
    data = FAMILIES[family].toy(steps=WAITING.get(name, STEPS), target_seed=target_seed)
    fit(method, data, epochs=1)
    source, target = (as_floats(domain.train[torch.arange(min(20, len(domain.train)))].x) for domain in data.loaded)
    answers = method.eval().answer(torch.cat((source, target)), "target").logits[: len(source)]
    return Outcome(torch.cat([parameter.detach().flatten() for parameter in method.backbone.parameters()]), answers)


@pytest.mark.slow
@pytest.mark.parametrize("name", UNSUPERVISED)
def test_the_target_moves_the_network(name: str) -> None:
    first, second = (outcome(name, FAMILY[name], seed) for seed in (1, 2))
    assert torch.equal(first.answers, second.answers) is (name in ALONE)
    trains_on_it = new(name, FAMILY[name]).batch_type is not SourceBatch  # or it adapts where it infers
    assert torch.equal(first.backbone, second.backbone) is not trains_on_it


@pytest.mark.parametrize("family", FAMILIES)
def test_the_target_does_not_move_source_only(family: str) -> None:
    first, second = (outcome(BASELINE, family, seed) for seed in (1, 2))
    assert torch.equal(first.backbone, second.backbone)
    assert torch.equal(first.answers, second.answers)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in UNSUPERVISED if name not in ("DARN", "MDAN")])  # which weigh sources by the target
def test_the_target_does_not_move_a_copy_without_alignment(name: str) -> None:
    first, second = (outcome(name, FAMILY[name], seed, without_alignment) for seed in (1, 2))
    assert torch.equal(first.backbone, second.backbone)
    assert torch.equal(first.answers, second.answers)


# Critics


def with_critic(method: Method) -> Any:
    """The module, the method itself or a loss of it, that has a ``critic``; or None."""
    return next((module for module in method.modules() if "critic" in dict(module.named_children())), None)


# What CyCADA's critic sees is translated already, so that there is little left to tell apart; a test of its own looks at the others.
# That of DomainLabels names one of several domains; tests of its loss look at it.
CRITICS = [name for name in UNSUPERVISED if name not in ("CyCADA", "DomainLabels") and with_critic(new(name, FAMILY[name]))]


def told_apart(method: Method, batch: Any) -> float:
    """The share of pairs of a source and a target row that the critic puts in the right order: 0.5 by chance, whatever its scale."""
    owner, (source, target) = with_critic(method), method.forward_pair(batch)
    inputs: Any = getattr(owner, "critic_inputs", lambda _, *parts: torch.cat([part.features for part in parts]))(batch, source, target)
    scores, others = owner.critic(inputs).flatten().split(len(source.features))
    right: Tensor = scores[:, None] > others
    return right.float().mean().item()


class Watch(Callback):
    """How well the critic tells the domains apart, every fifth step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx % 5 == 0:
            with torch.no_grad():
                self.seen.append(told_apart(pl_module.eval(), batch))
            pl_module.train()


def undisturbed(method: Method) -> Method:
    """The method whose critic learns as ever, while no gradient reaches the features from it."""

    def detached(critic: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # Where a gradient penalty asks for the gradient at points of its own, these are leaves.
        return tuple(x if x.is_leaf else x.detach() for x in inputs)

    with_critic(method).critic.register_forward_pre_hook(detached)
    return method


def watched(name: str, change: Callable[[Method], Method]) -> list[float]:
    """How well the critic tells the domains of the shortcut apart, in the course of a run."""
    watch = Watch()
    fit(change(make(name, "shortcut")), FAMILIES["shortcut"].toy(), epochs=CHASES.get(name, 2), callbacks=[watch])
    return watch.seen


def test_critics_are_found() -> None:
    assert {"DANN", "WDGRL"} <= set(CRITICS)  # a loss's, and a method's own


@pytest.mark.slow
@pytest.mark.parametrize("name", CRITICS)
def test_critic_is_right_and_then_fooled(name: str) -> None:
    seen, alone = watched(name, whole), watched(name, undisturbed)
    last = len(seen) // 4  # features and critic chase each other, so that the critic is fooled at times, not for good
    print(name, f"best {max(seen[:-last]):.2f}, then as low as {min(seen[-last:]):.2f}; undisturbed at least {min(alone[-last:]):.2f}")
    assert max(seen[:-last]) > 0.9
    assert min(alone[-last:]) > 0.9
    assert min(seen[-last:]) < min(alone[-last:]) - 0.1
