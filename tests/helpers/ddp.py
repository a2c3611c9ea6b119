"""Training by the command line in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from tests.conftest import REPO
from tests.helpers.fresh import fresh
from tlda.cli import main
from tlda.report import pictures

WIDTH = "--model.backbone.num_features"
CELLS = "--data=tests.helpers.boxed.Cells"
MAPS = {
    "DACS": ("--data=tests.helpers.masked.Scenes", f"{WIDTH}=16"),
    "BoxTeacher": (CELLS, f"{WIDTH}=16"),
    "Detector": (CELLS, "--data.stride=null", f"{WIDTH}=32"),
    "DAFasterRCNN": (CELLS, "--data.stride=null", f"{WIDTH}=32", "--model.regions=6", "--model.hidden=8"),
}
"""The data of methods of feature maps, and options as small."""


def of_maps(name: str, options: Sequence[str]) -> list[str]:
    """The ``options`` of a method, on feature maps where it needs them."""
    if name not in MAPS:
        return [*options]
    kept = [option for option in options if not option.startswith(("--data", "--model.backbone"))]
    return [*kept, "--model.backbone=tests.helpers.masked.TinyDense", *MAPS[name]]


def fit_each(names: Sequence[str], options: Sequence[str]) -> None:
    """Fit each of the methods of ``names`` with the same ``options``, and draw few rows."""
    pictures.ROWS = 20
    for name in names:
        assert main(["fit", f"--model={name}", *of_maps(name, options)]) == 0, name


def run_ddp(
    devices: int, folder: Path, *more: str, names: Sequence[str] = ("DANN",), strategy: str = "ddp_fork"
) -> list[dict[str, Tensor]]:
    """Train methods with ``devices`` processes, a batch of 30 together, and read their weights back.

    With the strategy ``ddp`` Lightning starts the command once more for each further process, which costs each the imports.
    """
    options = [
        "--data=tests.helpers.toy.Toy",
        "--model.backbone=tests.helpers.toy.Tiny",
        "--model.backbone.dropout=0",
        "--model.backbone.batch_norm=false",
    ]
    options += ["--data.n=200", "--data.steps=null", f"--data.batch_size={30 // devices}", "--trainer.accelerator=cpu", *more]
    options += [f"--trainer.devices={devices}", f"--trainer.strategy={strategy if devices > 1 else 'auto'}", "--trainer.max_epochs=2"]
    options += ["--trainer.callbacks+=tests.helpers.toy.Rows", f"--trainer.default_root_dir={folder}", "--trainer.precision=32-true"]
    if strategy == "ddp" and devices > 1:
        _by_script(folder, names, options)
    else:
        fresh(fit_each, names, options, output=folder / "said.txt", ROWS=str(folder))
    states = []
    for name in names:
        (run,) = folder.glob(f"*/{name}/*")  # every process writes into one folder
        states.append(torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"])
    return states


def _by_script(folder: Path, names: Sequence[str], options: Sequence[str]) -> None:
    script = folder / "command.py"
    script.write_text("import sys\nfrom tests.helpers.ddp import fit_each\nfit_each(sys.argv[1].split(','), sys.argv[2:])\n")
    environment = {**os.environ, "PYTHONPATH": str(REPO), "ROWS": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), ",".join(names), *options]
    ended = subprocess.run(command, env=environment, cwd=REPO, timeout=300, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
