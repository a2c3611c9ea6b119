"""Checkpoints: weights that a run starts from, and files that are damaged or somebody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import Namespace

from tests.helpers.toy import Tiny
from tlda.config.build import load
from tlda.config.going_on import require_unfinished
from tlda.errors import UserError
from tlda.method import Method
from tlda.methods import DANN, SourceOnly
from tlda.training.checkpoint import load_weights, recipe, task_from, without_files


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


LENET = {"class_path": "tlda.backbones.LeNet", "init_args": {"size": 16, "channels": 1}}
MODEL = {"class_path": "tlda.methods.SourceOnly", "init_args": {"backbone": LENET}}
TASK = {"class_path": "tlda.tasks.classification.Classification", "init_args": {"classes": ["a", "b"]}}
DAMAGED: list[Any] = [
    3,
    [],
    {"model": 3},
    {"model": MODEL, "task": None},
    {"model": MODEL, "data": []},
    {"model": {"class_path": "DANN"}},
    {"model": MODEL, "trainer": 3},
    {"unknown": []},
]


@pytest.mark.parametrize("made", DAMAGED, ids=str)
def test_what_is_not_of_the_form_that_a_run_writes(tmp_path: Path, made: Any) -> None:
    torch.save({"state_dict": {}, "tlda": made}, tmp_path / "x.ckpt")
    for read in (recipe, load):
        with pytest.raises(UserError, match=r"x.ckpt does not say which data it was trained on, or what it holds"):
            read(tmp_path / "x.ckpt")


@pytest.mark.parametrize("weights", [{}, [1], {"network.head.weight": 3}, None], ids=str)
def test_weights_of_something_else(tmp_path: Path, weights: Any) -> None:
    torch.save({"state_dict": weights, "tlda": {"model": MODEL, "task": TASK}}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"x.ckpt has other weights than the network that it names"):
        load(tmp_path / "x.ckpt")


@pytest.mark.parametrize("options", [{"classes": 3}, {"classes": ["a", "b"], "more": 1}, {"classes": ["a", "b"], "scores": 2}], ids=str)
def test_a_task_that_cannot_be_made(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="the checkpoint's task, Classification, cannot be made"):
        task_from({**TASK, "init_args": options})


@pytest.mark.parametrize("state", [{"loops": 3}, {"loops": {"fit_loop": []}}, {"global_step": "x"}, {"global_step": float("nan")}], ids=str)
def test_a_run_that_does_not_say_how_far_it_has_come(tmp_path: Path, state: dict[str, Any]) -> None:
    torch.save({"state_dict": {}, **state}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match="does not say how far its run has come"):
        require_unfinished(tmp_path / "x.ckpt", Namespace(max_epochs=2, max_steps=-1))


@pytest.mark.parametrize(
    "backbone", [[LENET], {**LENET, "init_args": [1]}, {"class_path": "tlda.backbones.Timm", "init_args": None}, 3], ids=str
)
def test_a_network_that_is_no_class_is_left_to_the_parser(backbone: Any) -> None:
    made = without_files({**MODEL, "init_args": {"backbone": backbone, "plus": [{}]}})
    assert made["init_args"] == {"backbone": backbone, "plus": [{}], "init_from": None}


@pytest.mark.parametrize(("kind", "kept"), [("Timm", False), ("Dense", False), ("TextEncoder", True)])
def test_weights_that_a_checkpoint_holds_are_not_read_again(kind: str, kept: bool) -> None:
    backbone = {"class_path": f"tlda.backbones.{kind}", "init_args": {"weights": "package:x"}}
    made = without_files({**MODEL, "init_args": {"backbone": backbone}})
    assert made["init_args"]["backbone"]["init_args"]["weights"] == ("package:x" if kept else None)


def test_losses_that_are_no_list_are_left_to_the_parser() -> None:
    assert without_files({**MODEL, "init_args": {"backbone": LENET, "plus": 3.0}})["init_args"]["plus"] == 3.0
