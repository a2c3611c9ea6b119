"""Images with masks in the look of the target: each translation has the mask of its image."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import TINY, Tlda
from tests.helpers.masked import NAMES, setup, write_masks
from tlda.data import Masks
from tlda.data.pair import DomainPair
from tlda.data.translated import MANIFEST, Translated, read_splits

OPTIONS = [
    *("--data", "Masks", "--data.root", "road", "--data.classes", f"[{','.join(NAMES)}]", "--data.size", "8", "--data.stride", "2"),
    *("--model.backbone", "tests.helpers.masked.TinyDense", *TINY[:1], *TINY[3:], "--data.batch_size=4", "--data.steps=5"),
]
TRANSLATOR = [
    *("--model", "CycleGAN", "--model.pretrain", "0.2", "--model.translator.generator", "UNetGenerator"),
    *("--model.translator.generator.width", "4", "--model.translator.critic_width", "4"),
]


@pytest.mark.slow
def test_a_segmentation_learns_from_translated_images_with_their_masks(tlda: Tlda) -> None:
    write_masks(Path("road"))
    fitted = tlda("fit", *OPTIONS, *TRANSLATOR)
    assert fitted.code == 0, fitted.err
    (checkpoint,) = Path("runs").glob("*/CycleGAN/*/checkpoints/last.ckpt")
    done = tlda("translate", checkpoint, "--out", "dusk")
    assert done.code == 0, done.err
    with Path("dusk", MANIFEST).open(newline="") as file:
        assert [line["file"] for line in csv.DictReader(file)] == [f"train/{row:07d}.png" for row in range(6)]
    plain, translated = (
        setup(Masks("road", classes=[*NAMES], size=8, stride=2, batch_size=2, translated=Translated(folder))) for folder in (None, "dusk")
    )
    rows = torch.tensor([4, 0, 3])
    before, after = (row_of(data, rows) for data in (plain, translated))
    assert torch.equal(after.y, before.y)
    assert torch.equal(after.x, read_splits(Path("dusk")).train.images[after.row])
    assert not torch.equal(after.x, before.x)
    learnt = tlda("fit", *OPTIONS, "--model", "SourceOnly", "--data.translated.folder", "dusk")
    assert learnt.code == 0, learnt.err


def row_of(data: DomainPair, rows: torch.Tensor) -> Any:
    return data.training_rows()["source"][rows]
