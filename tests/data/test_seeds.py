"""The seed has one reader; what is drawn as rows are read follows from it, wherever they are read."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor

from tests.helpers.toy import Toy
from tlda.batch import SourceBatch
from tlda.data import Datasets
from tlda.data.seeds import drawing, may_draw, seed_from


def test_data_that_are_made_before_the_seed_hold_out_what_those_made_after_do() -> None:
    seed_everything(1, verbose=False)
    before = Toy()
    seed_everything(7, verbose=False)
    for data in (before, after := Toy()):
        data.setup("fit")
    assert torch.equal(before.evaluation_rows[0].rows, after.evaluation_rows[0].rows)  # type: ignore[attr-defined]
    assert Toy(seed=3).seed == 3


def test_what_a_block_draws_follows_its_seed_and_the_run_draws_on() -> None:
    def draw() -> tuple[float, float, float]:
        return float(torch.rand(())), float(np.random.rand()), random.random()

    seed_everything(0, verbose=False)
    expected = draw()
    seed_everything(0, verbose=False)
    with drawing(5):
        first = draw()
    assert draw() == expected
    with drawing(5):
        assert draw() == first
    with drawing(6):
        assert not set(draw()) & set(first)


class Noise(torch.utils.data.Dataset[Any]):
    """Images of nothing but noise, drawn as they are read."""

    targets = torch.arange(24) % 2

    def __len__(self) -> int:
        return 24

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return torch.rand(1, 2, 2) + float(np.random.rand()) + random.random(), int(self.targets[row])


def batches(seed: int = 0, epoch: int = 0, **options: Any) -> list[Tensor]:
    """The images of source and target in the first batches of an epoch, over four."""
    data = Datasets(Noise(), Noise(), class_names=["a", "b"], batch_size=4, steps=2, seed=seed, **options)
    data.setup("fit")
    loaders = data.train_dataloader()
    for loader in loaders.flattened:
        loader.sampler.set_epoch(epoch)
    return [part.x for batch, *_ in loaders for part in batch]


def test_what_is_drawn_is_a_function_of_seed_field_and_epoch() -> None:
    drawn = [image for seed, epoch in ((0, 0), (1, 0), (0, 1)) for image in batches(seed, epoch)]
    assert len({image.sum().item() for image in drawn}) == len(drawn) == 12
    assert all(map(torch.equal, batches(), drawn[:4]))


@pytest.mark.slow
def test_other_processes_read_what_one_reads() -> None:
    assert all(map(torch.equal, batches(num_workers=2), batches()))


def test_readers_of_this_package_draw_nothing() -> None:
    data = Toy()
    data.setup("fit")
    assert not any(map(may_draw, data.training_rows().values()))
    assert may_draw(Datasets(Noise(), Noise(), class_names=["a", "b"]).loaded[0].train)
    assert SourceBatch._fields == ("source",)


@pytest.mark.parametrize("other", [(0, 1), (1, 0), (0, 0, 0)])
def test_a_seed_changes_with_each_number(other: tuple[int, ...]) -> None:
    assert seed_from(*other) != seed_from(0, 0)
