"""Schedules and ramps against their formulas, and optimizers over named groups."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from tlda.errors import UserError
from tlda.optim import SGD, Adam, AdamW, Constant, Cosine, InverseDecay, Optim, named_groups, part_of, ramp, set_learning_rates


def test_ramp_is_the_papers() -> None:
    assert ramp(0.0) == 0.0
    assert ramp(0.5) == pytest.approx(math.tanh(2.5))  # 2 / (1 + exp(-x)) - 1 is tanh(x / 2)
    assert ramp(1.0) == pytest.approx(0.9999, abs=1e-4)


def test_schedules_follow_progress() -> None:
    assert Constant()(0.3) == 1.0
    assert [round(Cosine()(p), 6) for p in (0.0, 0.5, 1.0)] == [1.0, 0.5, 0.0]
    assert Cosine(floor=0.1)(1.0) == pytest.approx(0.1)
    assert Cosine(warmup=0.2)(0.1) == pytest.approx(0.5)
    assert Cosine(warmup=0.2)(0.2) == pytest.approx(1.0)
    assert InverseDecay()(1.0) == pytest.approx(11**-0.75)


@pytest.mark.parametrize("optim", [Adam(lr=0.2), AdamW(lr=0.2, weight_decay=0.1), SGD(lr=0.2)])
def test_groups_keep_their_own_rates(optim: Optim) -> None:
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    groups = [{"name": n, "params": [w], "lr_multiplier": m} for n, w, m in zip("ab", weights, (1.0, 0.1), strict=True)]
    optimizer = optim(groups)
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.2, 0.02])
    set_learning_rates([optimizer], 0.5)
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.1, 0.01])
    for weight in weights:
        weight.grad = torch.ones(2)
    optimizer.step()
    assert weights[1][0] > weights[0][0]  # the smaller rate moved less


def test_an_optimizer_that_cannot_be_made_says_why() -> None:
    with pytest.raises(UserError, match="SGD cannot be made: Nesterov momentum requires a momentum"):
        SGD(momentum=0.0)([{"params": [torch.zeros(1, requires_grad=True)], "name": "head", "lr_multiplier": 1.0}])


def test_a_multiplier_that_would_climb_is_refused() -> None:
    with pytest.raises(UserError, match=r"factor -0.1 of lr_multipliers on 'head' must be 0 or more"):
        named_groups({"head": nn.Linear(1, 1)}, {"head": -0.1})


def test_a_module_within_a_part_learns_at_a_rate_of_its_own() -> None:
    backbone = nn.Sequential(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), nn.Linear(1, 1))
    rates = {"backbone.0": 0.1, "backbone.0.1": 0.5}
    groups = {group["name"]: group for group in named_groups({"backbone": backbone, "head": nn.Linear(1, 1)}, rates)}
    assert {name: group["lr_multiplier"] for name, group in groups.items()} == {**rates, "backbone": 1.0, "head": 1.0}
    covered = named_groups({"head": nn.Linear(1, 1)}, {"head": 0.1, "head.weight": 1.0, "head.bias": 2.0})
    assert [part_of(group) for group in covered] == ["head", "head"], "a name whose parameters all have a rate of their own is known"
    inner: Any = backbone[0]
    assert groups["backbone.0"]["params"] == list(inner[0].parameters())
    assert groups["backbone.0.1"]["params"] == list(inner[1].parameters())
    assert groups["backbone"]["params"] == list(backbone[1].parameters())
    with pytest.raises(UserError, match=r"lr_multipliers names \['backbone.2'\]; a method has backbone, head, and modules within them"):
        named_groups({"backbone": backbone, "head": nn.Linear(1, 1)}, {"backbone.2": 0.1})
