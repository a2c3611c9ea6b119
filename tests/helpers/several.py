"""What one, two and three processes do of the same run, written into a folder: forked, so that the imports are done once."""

from __future__ import annotations

from pathlib import Path

import torch
from pytorch_lightning import Trainer, seed_everything

from tests.helpers.saves import Saves
from tests.helpers.toy import CLASSES, Tiny, Toy
from tests.helpers.toys import Lamp
from tlda.cli import main
from tlda.methods import CycleGAN
from tlda.report import pictures
from tlda.translation import Translator

ROWS = 101
"""The rows of a domain, which neither two nor three divide."""
DATA = ["--data=tests.helpers.toy.Toy", f"--data.n={ROWS}", "--data.eval_batch_size=20"]
MODEL = ["--model=DANN", "--model.backbone=tests.helpers.toy.Tiny"]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu", "--trainer.precision=32"]


def processes(count: int) -> list[str]:
    """The options of a run in ``count`` processes."""
    return [*QUIET, f"--trainer.devices={count}", f"--trainer.strategy={'ddp_fork' if count > 1 else 'auto'}"]


def commands(folder: Path) -> None:
    """Fit in one process and in two; test and predict the first one's checkpoint in all."""
    checkpoint = ""
    for count in (1, 2, 3):
        place = folder / str(count)
        root = f"--trainer.default_root_dir={place}"
        fit = ["--trainer.max_epochs=1", "--data.steps=2", "--data.batch_size=6"]
        if count < 3:
            assert main(["fit", *MODEL, *DATA, *processes(count), *fit, root]) == 0
        checkpoint = checkpoint or str(next(place.rglob("last.ckpt")))
        again = ["--ckpt_path", checkpoint, *processes(count)]
        assert main(["test", *again, f"--trainer.default_root_dir={place / 'test'}"]) == 0
        assert main(["predict", *again, f"--output={place / 'predictions.csv'}"]) == 0


def resumed(folder: Path) -> None:
    """Train in two processes, without stopping and from a checkpoint within an epoch."""
    states = []
    for checkpoint in (None, folder / "after-5.ckpt"):
        seed_everything(0, verbose=False)
        # Its pools of images are each process's own.
        translator = Translator(generator=Lamp(), pool=4, critic_width=4)
        method = CycleGAN(backbone=Tiny(), task=CLASSES, translator=translator, pretrain=0.0)
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
        own = {"callbacks": [] if checkpoint else [Saves(folder, 5)], "use_distributed_sampler": False, "num_sanity_val_steps": 0}
        run = Trainer(max_epochs=3, accelerator="cpu", devices=2, strategy="ddp_fork", **quiet, **own)  # type: ignore[arg-type]
        run.fit(method, Toy(n=ROWS, steps=3, batch_size=6), ckpt_path=checkpoint, weights_only=True)
        states.append(method.state_dict())
    torch.save(states, folder / "states.pt")


def several(out: Path) -> None:
    """Do all of it in the folder ``out``, and print how many rows are drawn."""
    figure = pictures.confusion_figure
    pictures.confusion_figure = lambda predicted, *rest: (print("drawn", len(predicted)), figure(predicted, *rest))[1]
    commands(out)
    resumed(out)
