"""Weights that a run starts from: what fits is loaded, and what does not is made anew, aloud."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers.toy import Tiny
from tlda.errors import UserError
from tlda.method import Method
from tlda.methods import DANN, SourceOnly
from tlda.training.checkpoint import load_weights


def method(classes: int = 3, bottleneck: int = 0, width: int = 8) -> Method:
    return SourceOnly(backbone=Tiny(width), task=classes, bottleneck=bottleneck)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Method, str]:
    first = method(bottleneck=5)
    torch.save({"state_dict": first.state_dict()}, tmp_path / "first.ckpt")
    return first, str(tmp_path / "first.ckpt")


@pytest.mark.parametrize(
    ("other", "anew"),
    [
        (lambda: method(3, 5), ""),
        (lambda: method(4, 5), "head made anew"),
        (lambda: method(3, 6), "bottleneck and head made anew"),
        (lambda: method(3), "head made anew"),
        (lambda: DANN(backbone=Tiny(), task=7, bottleneck=5, hidden=4), "head made anew"),
    ],
)
def test_what_fits_is_loaded_and_the_rest_is_made_anew(
    saved: tuple[Method, str], capsys: pytest.CaptureFixture[str], other: type, anew: str
) -> None:
    made = other()
    before = {name: value.clone() for name, value in made.network.state_dict().items()}
    load_weights(made, saved[1])
    said = capsys.readouterr().out
    assert said == (f"tlda: {saved[1]} has other classes, another width or no head: {anew}\n" if anew else "")
    theirs = saved[0].network.state_dict()
    for name, value in made.network.state_dict().items():
        kept = name.split(".")[0] in anew
        assert torch.equal(value, before[name] if kept else theirs[name]), name


def test_another_backbone_is_refused_with_what_differs(saved: tuple[Method, str]) -> None:
    with pytest.raises(UserError, match=r"does not fit this network: 'backbone.layers.5.bias' is \(8,\), not \(9,\); set --model.b"):
        load_weights(method(width=9), saved[1])
