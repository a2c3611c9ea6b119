"""The last checkpoint is of the last batch, however one validates, and never half a file."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.utilities.exceptions import SIGTERMException

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tests.training.test_resume import same
from tlda import writing
from tlda.errors import UserError
from tlda.methods import DANN
from tlda.training.last import LastCheckpoint, WholeFiles


def dann() -> DANN:
    torch.manual_seed(0)
    return DANN(backbone=Tiny(), task=CLASSES)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"check_val_every_n_epoch": 2},
        {"val_check_interval": 2},
        {"limit_val_batches": 0},
        {"check_val_every_n_epoch": None, "val_check_interval": 4},
        {"max_steps": 8},
    ],
    ids=str,
)
def test_the_last_checkpoint_is_of_the_last_batch(options: dict[str, Any], tmp_path: Path) -> None:
    method = dann()
    trainer(3, enable_checkpointing=True, callbacks=[LastCheckpoint(tmp_path)], **options).fit(method, Toy(steps=3))
    (path,) = (tmp_path / "checkpoints").iterdir()
    last = torch.load(path, weights_only=True)
    assert (path.name, last["global_step"]) == ("last.ckpt", options.get("max_steps", 9))
    assert all(torch.equal(value, last["state_dict"][key]) for key, value in method.state_dict().items())


class Told(Callback):
    """A cluster that takes the machine back, within the fifth batch."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
        if trainer.fit_loop.total_batch_idx == 4:
            os.kill(os.getpid(), self.number)


@pytest.mark.slow
def test_a_run_that_is_told_to_stop_goes_on_exactly(tmp_path: Path) -> None:
    whole, stopped, resumed = dann(), dann(), dann()
    trainer(3).fit(whole, Toy(steps=3))
    with pytest.raises(SIGTERMException):
        trainer(3, enable_checkpointing=True, callbacks=[Told(signal.SIGTERM), LastCheckpoint(tmp_path)]).fit(stopped, Toy(steps=3))
    path = tmp_path / "checkpoints" / "last.ckpt"
    assert torch.load(path, weights_only=True)["global_step"] == 5
    trainer(3).fit(resumed, Toy(steps=3), ckpt_path=path, weights_only=True)
    same(whole, resumed)


@pytest.mark.slow
def test_a_signal_to_save_is_obeyed_between_two_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlda.training.requeue.requeue_signal", lambda trainer: signal.SIGUSR1)
    whole, run = dann(), trainer(3, callbacks=[Told(signal.SIGUSR1)])
    before = signal.signal(signal.SIGUSR1, lambda *_: run.save_checkpoint(tmp_path / "hpc.ckpt"))  # as Lightning's does
    try:
        run.fit(whole, Toy(steps=3))
    finally:
        signal.signal(signal.SIGUSR1, before)
    resumed = dann()
    trainer(3).fit(resumed, Toy(steps=3), ckpt_path=tmp_path / "hpc.ckpt", weights_only=True)
    same(whole, resumed)


def test_the_old_checkpoint_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, io = tmp_path / "last.ckpt", WholeFiles()
    io.save_checkpoint({"step": 1}, path)

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writing.os, "fsync", full)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"last.ckpt \(No space left on device\)"):
        io.save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]
