"""A run that goes on from a checkpoint, of the end of an epoch or the middle of one, equals one that never stopped."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from tests.conftest import TASK, TINY, Tlda
from tests.helpers.saves import Saves
from tests.helpers.toy import CLASSES, Tiny, blobs, toy_of, trainer
from tests.methods.test_contract import VARIANTS, make
from tlda.data import Augment, Datasets, PhotoJitter, RandomGreyscale, RandomHorizontalFlip, RandomResizedCrop
from tlda.method import Method
from tlda.methods import DANN

STEPS = 6
"""The batches of an epoch of the toy."""


def same(first: Method, second: Method) -> None:
    """Fail where the methods' weights, buffers, banks or teachers differ in a bit."""
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_every_method_goes_on_exactly(name: str, tmp_path: Path) -> None:
    whole = make(name)
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    trainer(2, enable_checkpointing=True, callbacks=[keep, Saves(tmp_path, 9)]).fit(whole, toy_of(type(whole)))
    for checkpoint in ("epoch=0.ckpt", "after-9.ckpt"):
        resumed = make(name)
        torch.manual_seed(12345)  # whatever happened in between must not matter
        trainer(2).fit(resumed, toy_of(type(resumed)), ckpt_path=tmp_path / checkpoint, weights_only=True)
        same(whole, resumed)


class Drawn(torch.utils.data.Dataset[Any]):
    """The toy's images, each with noise of all three generators as it is read."""

    def __init__(self, shift: float) -> None:
        self.images, self.targets = blobs(96, shift, 0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        noise = torch.rand(1, 4, 4) + float(np.random.rand()) + random.random()
        return self.images[row] / 255 + noise, int(self.targets[row])


class Noise(Augment):
    """Noise on the batch, of the run's own generators."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1 * torch.rand_like(x) + 0.1 * float(np.random.rand()) + 0.1 * random.random()


def drawn(**options: Any) -> Datasets:
    return Datasets(Drawn(0.0), Drawn(60.0), class_names=list("abc"), batch_size=8, steps=STEPS, augment=[Noise()], **options)


def dann() -> DANN:
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    return DANN(backbone=Tiny(), task=CLASSES)


OPTIONS: list[dict[str, Any]] = [{}, {"accumulate_grad_batches": 2}, {"max_steps": 18}, {"val_check_interval": 2}]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*resuming from a checkpoint that ended before")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_run_goes_on_after_any_batch(options: dict[str, Any], tmp_path: Path) -> None:
    whole, saves = dann(), Saves(tmp_path, 4, 9, 12)
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    trainer(3, enable_checkpointing=True, callbacks=[saves, keep], **options).fit(whole, drawn())
    for name in ("after-4", "after-9", "after-12", "epoch=0"):
        resumed, seen = dann(), Saves(tmp_path)
        run = trainer(3, callbacks=[seen], **options)
        run.fit(resumed, drawn(), ckpt_path=tmp_path / f"{name}.ckpt", weights_only=True)
        same(whole, resumed)
        assert run.current_epoch == 3
        assert run.fit_loop.epoch_loop._batches_that_stepped == (9 if "accumulate_grad_batches" in options else 18)
        if name.startswith("after"):  # what follows a batch, as a validation does, is still to come
            done = (int(name.removeprefix("after-")) - 1) // options.get("val_check_interval", STEPS)
            assert seen.validated == saves.validated - done, name


@pytest.mark.slow
def test_augmentations_of_photographs_go_on_exactly(tmp_path: Path) -> None:
    photo = [RandomResizedCrop(4), RandomHorizontalFlip(), PhotoJitter(0.4, 0.4, 0.4, 0.1), RandomGreyscale(0.5)]
    whole, data = dann(), drawn()
    data.augment = photo
    trainer(2, callbacks=[Saves(tmp_path, 9)]).fit(whole, data)
    resumed, again = dann(), drawn()
    again.augment = photo
    trainer(2).fit(resumed, again, ckpt_path=tmp_path / "after-9.ckpt", weights_only=True)
    same(whole, resumed)
    plain = dann()
    trainer(2).fit(plain, drawn())
    with pytest.raises(AssertionError):
        same(whole, plain)


@pytest.mark.slow
def test_what_is_read_in_other_processes_is_what_one_reads(tmp_path: Path) -> None:
    whole = dann()
    trainer(2, callbacks=[Saves(tmp_path, 9)]).fit(whole, drawn(num_workers=2))
    alone = dann()
    trainer(2).fit(alone, drawn())
    same(whole, alone)
    resumed = dann()
    trainer(2).fit(resumed, drawn(num_workers=2), ckpt_path=tmp_path / "after-9.ckpt", weights_only=True)
    same(whole, resumed)


class Stopped(Callback):
    """A cluster that takes the machine back within the batch ``batch``."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
def test_a_command_goes_on_exactly(tlda: Tlda) -> None:
    options = [*TINY[:1], "--trainer.max_epochs=2", "--data.steps=3", "--data.batch_size=8", *TINY[3:], "--trainer.num_sanity_val_steps=0"]
    fit = ["fit", *TASK, *options, "--data.augment+=tests.training.test_resume.Noise", "--data.num_workers=2", "--model.plus+=MCC"]
    assert tlda(*fit, "--trainer.default_root_dir=whole").code == 0
    stop = ["--trainer.callbacks+=tests.training.test_resume.Stopped", "--trainer.callbacks.batch=3"]
    stopped = tlda(*fit, *stop, "--trainer.default_root_dir=stopped")
    assert stopped.code == 128 + signal.SIGTERM
    assert "tlda: told to stop; --ckpt_path" in stopped.err
    checkpoint = next(Path("stopped").rglob("last.ckpt"))
    again = tlda(*fit, "--ckpt_path", checkpoint, "--trainer.default_root_dir=resumed")
    assert again.code == 0, again.err
    whole, resumed = (torch.load(next(Path(name).rglob("last.ckpt")), weights_only=True) for name in ("whole", "resumed"))
    assert whole["global_step"] == resumed["global_step"] == 6
    assert all(torch.equal(value, resumed["state_dict"][key]) for key, value in whole["state_dict"].items())
