"""The bottleneck and the head of a network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, normalize

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tlda.errors import UserError
from tlda.losses import DomainAdversarial
from tlda.methods import DANN, MCD, SHOT, SourceOnly
from tlda.network import Bottleneck, Head
from tlda.tasks import Classification

TASK = Classification([f"class {c}" for c in range(CLASSES)])


def test_a_bottleneck_has_the_layers_that_are_asked_for() -> None:
    kinds = [type(layer) for layer in Bottleneck(5, batch_norm=True, dropout=0.5).build(8)]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout]
    assert [type(layer) for layer in Bottleneck(5, activation="none").build(8)] == [nn.Linear, nn.Identity]


def test_a_head_of_two_layers_is_of_the_kind_of_the_adversary_of_mdd() -> None:
    head = Head(hidden=6, dropout=0.5).build(8, TASK)
    assert [type(layer) for layer in head.children()] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert head(torch.zeros(4, 8)).shape == (4, CLASSES)


def test_a_head_of_several_hidden_layers_is_that_of_codats() -> None:
    head = Head(hidden=6, layers=2).build(8, TASK)
    kinds = [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert [type(layer) for layer in head.children()] == kinds
    assert head(torch.zeros(4, 8)).shape == (4, CLASSES)


def test_the_weights_of_a_normalised_head_are_a_direction_and_a_length() -> None:
    head = Head(weight_norm=True).build(8, TASK)
    length, direction = dict(head.named_parameters())["parametrizations.weight.original0"], head.parametrizations.weight.original1  # type: ignore[union-attr]
    x = torch.randn(4, 8)
    torch.testing.assert_close(head(x), linear(x, length * normalize(direction, dim=1), head.bias))  # type: ignore[arg-type]


def test_shot_starts_from_a_normalised_head_and_leaves_it(tmp_path: object) -> None:
    options: dict[str, Any] = {
        "task": CLASSES,
        "head": Head(weight_norm=True),
        "bottleneck": Bottleneck(6, batch_norm=True, activation="none"),
    }
    source = SourceOnly(backbone=Tiny(), **options)
    run = trainer()
    run.fit(source, Toy())
    run.save_checkpoint(path := f"{tmp_path}/source.ckpt")
    shot = SHOT(backbone=Tiny(), init_from=path, **options)
    trainer().fit(shot, Toy())
    for (name, before), after in zip(source.head.state_dict().items(), shot.head.state_dict().values(), strict=True):
        assert torch.equal(before, after), name
    assert not torch.equal(source.bottleneck[0].weight, shot.bottleneck[0].weight)  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hidden": -1}, "--model.head.hidden is -1: it must be 0 or more"),
        ({"hidden": 4, "dropout": 1.0}, "--model.head.dropout is 1.0: it must be 0 or more, and below 1"),
        ({"layers": 2}, "--model.head.layers is 2: it is 1 or more layers, of the width that --model.head.hidden gives"),
        ({"hidden": 4, "layers": 0}, "--model.head.layers is 0: it is 1 or more layers"),
        ({"dropout": 0.5}, "--model.head.dropout follows a hidden layer, and there is none: set --model.head.hidden too"),
    ],
)
def test_a_head_out_of_range_is_told(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Head(**options)  # type: ignore[arg-type]


def test_a_method_with_a_head_of_its_own_refuses_another() -> None:
    with pytest.raises(UserError, match=r"--model.head makes the last layers, and this method makes its own: leave it out"):
        MCD(backbone=Tiny(), task=CLASSES, head=Head(hidden=4))


def test_a_head_is_refused_where_the_task_has_no_linear_layer() -> None:
    class Odd(Classification):
        def head(self, num_features: int) -> nn.Module:
            return nn.Identity()

    with pytest.raises(UserError, match=r"--model.head changes a linear layer, and Odd has another head: leave it out"):
        Head(hidden=4).build(8, Odd(["a", "b"]))


def test_a_discriminator_has_batchnorm_where_it_is_asked_for() -> None:
    def norms(norm: bool | None) -> int:
        loss: DomainAdversarial = DANN(backbone=Tiny(), task=CLASSES, hidden=4, discriminator_norm=norm).losses["domain"]  # type: ignore[assignment]
        return sum(isinstance(layer, nn.BatchNorm1d) for layer in loss.critic.modules())

    assert (norms(None), norms(True)) == (0, 2)
