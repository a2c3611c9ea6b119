"""ADDA: two networks, and what moves in which of its two stages."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tlda.batch import Pair
from tlda.losses import MinEnt
from tlda.methods import ADDA

State = dict[str, Tensor]


class Epochs(Callback):
    """The method's state at the end of each epoch."""

    def __init__(self) -> None:
        self.states: list[State] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.states.append(copy.deepcopy(pl_module.state_dict()))


def make(dropout: float = 0.1, **options: Any) -> ADDA:
    seed_everything(0, verbose=False)
    return ADDA(backbone=Tiny(dropout=dropout), task=CLASSES, bottleneck=6, hidden=16, **options)


def fit(method: ADDA, epochs: int = 2, **options: Any) -> list[State]:
    """The states at the ends of the epochs of a run."""
    seen = Epochs()
    trainer(epochs, callbacks=[seen], **options).fit(method, Toy())
    return seen.states


def part(state: State, name: str) -> State:
    """What ``state`` holds of the module ``name``."""
    name = f"network.{name}" if name in ("backbone", "bottleneck", "head") else name
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}


def same(one: State, other: State) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[key], other[key]) for key in one)


def batch_of(n: int = 12) -> Pair:
    data = Toy()
    data.setup("fit")
    rows = torch.arange(n)
    return Pair(*(data.prepare(data.training_rows()[field][rows]) for field in Pair._fields))


def test_after_the_switch_only_the_target_network_and_the_critic_move() -> None:
    before, after = fit(make())
    assert not before["source_network.taken"]
    assert after["source_network.taken"]
    assert same(part(after, "head"), part(before, "head"))
    source = part(after, "source_network.copy")
    assert same(part(source, "0"), part(before, "backbone"))  # BatchNorm's statistics too
    assert same(part(source, "1"), part(before, "bottleneck"))
    for name in ("backbone", "bottleneck", "critic"):
        assert not any(torch.equal(value, part(before, name)[key]) for key, value in part(after, name).items()), name


def test_before_the_switch_the_critic_neither_learns_nor_matters() -> None:
    method, other = make(), make()
    start = copy.deepcopy(method.critic.state_dict())
    with torch.no_grad():
        for parameter in other.critic.parameters():
            parameter.mul_(3.0)
    first, second = fit(method)[0], fit(other)[0]
    assert same(part(first, "critic"), start)
    for name in ("backbone", "bottleneck", "head"):
        assert same(part(first, name), part(second, name))


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_resume_on_either_side_of_a_switch_within_an_epoch_is_exact(epoch: int, tmp_path: Path) -> None:
    whole, resumed = make(pretrain=0.4), make(pretrain=0.4)
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    states = Epochs()
    trainer(4, enable_checkpointing=True, callbacks=[keep, states]).fit(whole, Toy())
    assert [bool(state["source_network.taken"]) for state in states.states] == [False, True, True, True]
    torch.manual_seed(12345)
    trainer(4).fit(resumed, Toy(), ckpt_path=tmp_path / f"epoch={epoch}.ckpt", weights_only=True)
    assert same(whole.state_dict(), resumed.state_dict())


@pytest.mark.slow
def test_a_finished_run_that_is_made_longer_does_not_go_back_to_the_source(tmp_path: Path) -> None:
    method, longer = make(), make()
    run = trainer(2)
    run.fit(method, Toy())
    run.save_checkpoint(tmp_path / "a.ckpt")
    trainer(6).fit(longer, Toy(), ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    assert same(longer.head.state_dict(), method.head.state_dict())
    assert same(longer.source_network.state_dict(), method.source_network.state_dict())
    assert not same(longer.backbone.state_dict(), method.backbone.state_dict())


def test_the_source_network_is_used_as_in_evaluation_and_the_target_network_without_dropout() -> None:
    method, batch = make(dropout=0.5).train(), batch_of()
    before = copy.deepcopy(method.state_dict())
    source, target = method.forward_pair(batch)
    again = method.forward_pair(batch)
    for output, repeated in zip((source, target), again, strict=True):
        assert torch.equal(output.logits, repeated.logits)
    assert all(module.training for module in method.backbone.modules())
    assert same(method.source_network.state_dict(), part(before, "source_network"))
    assert not same(method.backbone.state_dict(), part(before, "backbone"))  # its running statistics follow the target
    assert torch.equal(source.features, method.eval().source_network(batch.source.x))
    assert not torch.equal(target.features, method(batch.target.x).features)  # it was normalised by the batch


def test_the_target_network_is_pushed_towards_the_source_by_inverted_labels() -> None:
    method, batch = make(plus=[MinEnt()]), batch_of()
    source, target = method.forward_pair(batch)
    terms = method.objective(batch, source, target)
    logits = method.critic(target.features)
    torch.testing.assert_close(terms["mapping"], binary_cross_entropy_with_logits(logits, torch.ones_like(logits)))
    assert terms.keys() == {"task", "min_ent", "mapping"}
    network = [*method.backbone.parameters(), *method.bottleneck.parameters()]
    for name in ("mapping", "min_ent"):
        gradients = torch.autograd.grad(terms[name], network, retain_graph=True)
        assert all(gradient.abs().max() > 0.0 for gradient in gradients)
    # Of the frozen network: it is a constant that shows whether the head still fits.
    assert torch.autograd.grad(terms["task"], network, allow_unused=True) == (None,) * len(network)


def test_learning_rates_of_the_second_stage() -> None:
    method = make(lr_multipliers={"backbone": 0.1})
    source, target, critic = ({group["name"]: group["lr"] for group in o.param_groups} for o in method.configure_optimizers())
    assert source == pytest.approx({"backbone": 1e-4, "bottleneck": 1e-3, "head": 1e-3})
    assert target == pytest.approx({"adversarial_backbone": 2e-5, "adversarial_bottleneck": 2e-4})
    assert critic == pytest.approx({"critic": 2e-4})
    second = make(lr_multipliers={"head.weight": 0.1}).optimizer_list()[1]
    assert [group["name"] for group in second.param_groups] == ["adversarial_backbone", "adversarial_bottleneck"]
