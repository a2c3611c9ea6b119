"""One run that is logged everywhere: the names are equal in W&B, TensorBoard, MLflow and CSV, and the pictures are there."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import pytest
import yaml

from tests.conftest import TASK, TINY
from tests.helpers.wandb_file import history, records
from tlda.cli import main

PACKAGES = ("wandb", "tensorboard", "mlflow")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(any(importlib.util.find_spec(name) is None for name in PACKAGES), reason="a tracker is not installed"),
]

PICTURES = {"pictures/features", "pictures/confusion", "pictures/samples"}
POSITIONS = {"epoch", "step", "trainer/global_step"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The folder of a `tlda fit` with four loggers, each of which has a folder in it."""
    import wandb

    wandb.teardown()  # of what an earlier test of this process has set
    root = tmp_path_factory.mktemp("logged")
    loggers = {
        "CSVLogger": {"save_dir": str(root / "csv"), "name": "", "version": ""},
        "TensorBoardLogger": {"save_dir": str(root / "tensorboard"), "name": "", "version": "", "default_hp_metric": False},
        "MLFlowLogger": {"tracking_uri": f"file:{root / 'mlflow'}", "experiment_name": "tlda"},
        "tlda.training.wandb_logger.Tracker": {"save_dir": str(root), "offline": True},
    }
    declared = [{"class_path": name, "init_args": options} for name, options in loggers.items()]
    (root / "loggers.yaml").write_text(yaml.safe_dump({"trainer": {"logger": declared}}))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"TLDA_CACHE": str(cache), "TLDA_RUN": "", "WANDB_MODE": "offline", "MLFLOW_ALLOW_FILE_STORE": "true"}.items():
            patch.setenv(name, value)
        patch.setenv("WANDB_SILENT", "true")
        patch.setattr("tlda.report.pictures.ROWS", 20)
        options = [f"--trainer.default_root_dir={root / 'runs'}", "--trainer.log_every_n_steps=1"]
        assert main(["fit", *TASK, "-c", str(root / "loggers.yaml"), *TINY, *options]) == 0
        wandb.teardown()  # waits for the process that writes the file
    return root


def in_csv(run: Path) -> set[str]:
    with (run / "csv" / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return set(next(csv.reader(file)))


def in_tensorboard(run: Path) -> dict[str, set[str]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return {kind: set(events.Tags()[kind]) for kind in ("scalars", "images")}


def in_wandb(run: Path) -> set[str]:
    (path,) = run.rglob("*.wandb")
    return {name.removesuffix("/filenames") for name in history(list(records(path))) if "/_" not in name}


def mlflow_run(run: Path) -> Path:
    (path,) = run.glob("mlflow/*/*/metrics")
    return path.parent


def test_names_are_equal_wherever_they_are_logged(run: Path) -> None:
    store = mlflow_run(run) / "metrics"
    in_mlflow = {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}
    metrics = in_csv(run) - POSITIONS
    assert {
        "train/loss",
        "lr/head",
        "val/source/accuracy",
        "val/target/entropy",
        "oracle/target/accuracy",
        "test/target/accuracy",
    } <= metrics
    assert in_tensorboard(run)["scalars"] - POSITIONS == metrics
    assert in_mlflow - POSITIONS == metrics
    assert {name for name in in_wandb(run) if name.split("/")[0] in ("train", "lr", "val", "oracle", "test")} == metrics


def test_tensorboard_has_the_pictures(run: Path) -> None:
    assert in_tensorboard(run)["images"] == PICTURES


def test_mlflow_has_the_pictures_and_what_a_run_is_found_by(run: Path) -> None:
    store = mlflow_run(run)
    assert {f"pictures/{path.stem}" for path in (store / "artifacts" / "pictures").iterdir()} == PICTURES
    found = {name: (store / "params" / name).read_text() for name in ("method", "transfer", "setting", "seed")}
    assert found == {"method": "DANN", "transfer": "fonts_to_handwritten", "setting": "unsupervised", "seed": "0"}


def test_wandb_has_the_pictures(run: Path) -> None:
    assert {name for name in in_wandb(run) if name.startswith("pictures/") and name.count("/") == 1} == PICTURES
