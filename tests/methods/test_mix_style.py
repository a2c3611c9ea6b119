"""MixStyle: which layers, when, and what it is for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.helpers.toy import Maps, Tiny
from tlda.errors import UserError
from tlda.methods import MixStyle


def test_maps_are_mixed_in_training_alone_with_the_probability() -> None:
    x = torch.rand(6, 1, 4, 4)
    for probability, differs in ((1.0, True), (0.0, False)):
        backbone, seen = Maps(), list[Tensor]()
        method = MixStyle(backbone=backbone, task=3, probability=probability, alpha=5.0)
        backbone.layers[2].register_forward_hook(lambda layer, inputs, output, seen=seen: seen.append(output.detach()))
        method.train()(x)
        assert bool((seen[-1] < 0).any()) is differs  # what ReLU gives has no negative numbers
        method.eval()(x)
        assert not (seen[-1] < 0).any()


def test_bad_options_are_a_sentence() -> None:
    for options, sentence in (
        ({"blocks": [2]}, "--model.blocks has 2, and Maps has the blocks 0 to 1"),
        ({"alpha": 0.0}, "--model.alpha 0.0: the one is 0 to 1, the other above 0"),
    ):
        with pytest.raises(UserError, match=sentence):
            MixStyle(backbone=Maps(), task=3, **options)
    with pytest.raises(UserError, match=r"MixStyle mixes maps .* gives \(2, 16\)"):
        MixStyle(backbone=Tiny(), task=3, blocks=[0]).train()(torch.rand(2, 1, 4, 4))
