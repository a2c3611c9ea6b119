"""What a run needs before it measures."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonargparse import Namespace

from tests.conftest import Tlda
from tests.helpers.folders import write_folders
from tests.helpers.tiny_clip import SIZE, tiny_clip
from tlda.commands.run import require_trained
from tlda.errors import UserError


@pytest.mark.slow
def test_a_clip_is_tested_without_a_checkpoint(tlda: Tlda, tmp_path: Path) -> None:
    write_folders(tmp_path / "data")
    clip = ["--model.backbone", "CLIP", "--model.backbone.name", tiny_clip(), "--model.head.text", "backbone"]
    data = ["--data", "Folders", "--data.root", tmp_path / "data", "--data.size", SIZE]
    done = tlda("test", *data, "--model", "SourceOnly", *clip, "--trainer.accelerator=cpu")
    assert done.code == 0, done.err
    assert "test/target/accuracy" in done.out


def options(backbone: str, text: str | None) -> Namespace:
    head = None if text is None else Namespace(text=text)
    return Namespace(init_args=Namespace(backbone=Namespace(class_path=f"tlda.backbones.{backbone}"), head=head, init_from=None))


def test_towers_that_nobody_trained_and_other_heads_need_one() -> None:
    require_trained(["test"], options("CLIP", "backbone"))
    require_trained(["test"], options("Precomputed", "some/clip"))
    for backbone, text in (("Towers", "backbone"), ("CLIP", None)):
        with pytest.raises(UserError, match="needs a network that was trained"):
            require_trained(["test"], options(backbone, text))
