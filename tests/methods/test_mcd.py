"""The two heads of MCD."""

import torch
from torch import nn

from tests.helpers.toy import Tiny
from tlda.methods import MCD


def test_a_head_with_a_rate_of_its_own_stays_among_the_heads() -> None:
    features, heads = MCD(backbone=Tiny(), task=3, lr_multipliers={"head.first": 0.5}).optimizer_list()
    assert [group["name"] for group in features.param_groups] == ["backbone"]
    assert {group["name"]: group["lr_multiplier"] for group in heads.param_groups} == {"head": 1.0, "head.first": 0.5}


def test_heads_alike_disagree_only_through_noise_of_their_own() -> None:
    x = torch.rand(64, 8)
    for dropout in (None, 0.5):
        torch.manual_seed(0)
        method = MCD(dropout=dropout, hidden=6, backbone=Tiny(dropout=0.0), task=3)
        head = method.head
        head.second.load_state_dict(head.first.state_dict())
        assert sum(isinstance(layer, nn.Dropout) for layer in head.modules()) == (4 if dropout else 0)
        first, second = head.train().both(x)
        assert torch.equal(first, second) == (dropout is None)
        first, second = head.eval().both(x)
        assert torch.equal(first, second)
        assert torch.equal(head(x), first)


def test_the_heads_of_the_digits_have_two_hidden_layers_with_batch_norm() -> None:
    head = MCD(dropout=0.5, digit_heads=True, hidden=6, backbone=Tiny(), task=3).head
    kinds = [nn.Dropout, nn.Linear, nn.BatchNorm1d, nn.ReLU] * 2 + [nn.Dropout, nn.Linear]
    for part in (head.first, head.second):
        assert [type(layer) for layer in part] == kinds
        assert [tuple(layer.weight.shape) for layer in part if isinstance(layer, nn.Linear)] == [(6, 8), (6, 6), (3, 6)]
