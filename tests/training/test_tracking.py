"""Where a run is logged, and that W&B has the whole of it."""

from __future__ import annotations

import importlib.util
import inspect
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning.loggers import CSVLogger

from tests.bench.test_bench import TABLE, Here
from tests.commands.test_bad_input import OWN, refused
from tests.conftest import QUICK, TASK, TINY, Tlda
from tests.helpers.fresh import fresh
from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tests.helpers.wandb_file import config, history, records, summary
from tlda.batch import Output
from tlda.bench import launch
from tlda.method import Method
from tlda.methods import SourceOnly
from tlda.training.checkpoint import read as read_checkpoint
from tlda.training.checkpoint import recipe as checkpoint_recipe
from tlda.training.tracking import flat_keys, loggers, named, wandb_mode
from tlda.training.wandb_logger import Tracker

needs_wandb = pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")


@pytest.fixture
def no_mode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Nothing says what to do, there is no key, and no server answers."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr("builtins.input", lambda *args: pytest.fail("asked for a key"))
    return monkeypatch


def listening() -> socket.socket:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


@pytest.mark.parametrize("mode", ["online", "offline", "disabled"])
def test_what_the_environment_says_is_done(no_mode: pytest.MonkeyPatch, mode: str) -> None:
    no_mode.setenv("WANDB_MODE", mode)
    assert wandb_mode() == mode


def test_without_a_key_it_is_offline_and_no_server_is_called(no_mode: pytest.MonkeyPatch) -> None:
    no_mode.setattr(socket, "create_connection", lambda *args, **kwargs: pytest.fail("called a server"))
    assert wandb_mode() == "offline"


def test_with_a_key_but_no_server_it_is_offline(no_mode: pytest.MonkeyPatch) -> None:
    server = listening()
    port = server.getsockname()[1]
    server.close()  # nothing listens there any more
    no_mode.setenv("WANDB_API_KEY", "k" * 40)
    no_mode.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    assert wandb_mode() == "offline"


def test_with_a_key_and_a_server_it_is_online(no_mode: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with listening() as server:
        no_mode.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert wandb_mode() == "offline"
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login user password {'k' * 40}\n")
        (tmp_path / "netrc").chmod(0o600)
        assert wandb_mode() == "online"


def test_without_wandb_there_is_the_csv(no_mode: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = importlib.util.find_spec
    no_mode.setattr(importlib.util, "find_spec", lambda name, *args: None if name == "wandb" else find(name, *args))
    (logger,) = loggers(tmp_path, "table", ["DANN", "task"])
    assert isinstance(logger, CSVLogger)


def imported(folder: Path) -> None:
    """Print whether W&B is imported once there are loggers."""
    loggers(folder, "group", [])
    print("wandb" in sys.modules)


@pytest.mark.slow
def test_a_disabled_run_does_not_import_wandb(tmp_path: Path) -> None:
    assert fresh(imported, tmp_path, output=tmp_path / "said.txt").split() == ["False"]


@pytest.fixture
def offline(no_mode: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B as it is without key and server; its process ends with the test."""
    yield
    import wandb

    wandb.teardown()


def read(folder: Path) -> list[Any]:
    """The records of the one run that was logged below ``folder``."""
    import wandb

    wandb.teardown()  # waits for the process that writes the file
    (path,) = folder.rglob("*.wandb")
    return list(records(path))


LONGER = ["--trainer.max_epochs=2", "--wandb-checkpoints=true"]


@pytest.mark.slow
@needs_wandb
@pytest.mark.usefixtures("offline")
def test_the_offline_run_has_the_whole_of_it(tlda: Tlda) -> None:
    done = tlda("fit", *TASK, *TINY, "--data.steps=3", "--model.plus+=MCC", "--trainer.log_every_n_steps=1", *LONGER)
    assert done.code == 0, done.err
    found = read(Path("runs"))
    run = next(record.run for record in found if record.HasField("run"))
    assert (run.project, run.run_group) == ("tlda", "fonts_to_handwritten")
    assert list(run.tags) == ["DANN", "fonts_to_handwritten"]
    assert (run.display_name, run.job_type) == ("DANN-fonts_to_handwritten-0", "fit")

    saved: dict[str, Any] = yaml.safe_load(next(Path("runs").rglob("config.yaml")).read_text())
    logged = config(found)
    assert logged["model"] == saved["model"]
    assert logged["data"] == saved["data"]
    assert logged["seed_everything"] == 0
    assert logged["trainer"]["max_epochs"] == 2
    keys = {name: logged[name] for name in ("method", "source", "target", "seed")}
    assert keys == {"method": "DANN", "source": "fonts", "target": "handwritten", "seed": 0}
    assert {name: logged[name] for name in ("class", "setting", "transfer")} == {
        "class": "DANN",
        "setting": "unsupervised",
        "transfer": "fonts_to_handwritten",
    }
    (checkpoint,) = Path("runs").rglob("last.ckpt")
    assert logged["protocol"] == checkpoint_recipe(checkpoint)["protocol"]

    values = history(found)
    for name in ("train/task", "train/domain", "train/mcc", "train/loss", "lr/backbone", "lr/head", "lr/losses"):
        assert len(values[name]) == 6, name
    sums = [sum(terms) for terms in zip(values["train/task"], values["train/domain"], values["train/mcc"], strict=True)]
    assert values["train/loss"] == pytest.approx(sums, rel=1e-5)
    assert values["lr/head"][0] == pytest.approx(0.001)
    assert values["lr/head"][-1] < values["lr/head"][0]
    for name in ("val/source/accuracy", "oracle/target/accuracy"):
        assert len(values[name]) == 2, name
    assert len(values["test/target/accuracy"]) == 1  # a fit ends with what a test measures
    assert [record.exit.exit_code for record in found if record.HasField("exit")] == [0]
    files = [name for part in ("confusion", "features", "samples") for name in values[f"pictures/{part}/filenames"][0]]
    assert all(next(Path("runs").rglob(name)).stat().st_size > 1000 for name in files)
    assert "exists and is not empty" not in done.err

    summed = summary(found)
    for name, best in (("oracle/target/accuracy", "max"), ("val/target/entropy", "min"), ("val/target/iwcv", "min")):
        assert summed[name] == {"last": values[name][-1], best: {"max": max, "min": min}[best](values[name])}, name
    assert summed["test/target/accuracy"] == values["test/target/accuracy"][0]
    axes = {record.metric.name or record.metric.glob_name: record.metric.step_metric for record in found if record.HasField("metric")}
    assert (axes["*"], axes["oracle/target/accuracy"], axes["test/target/accuracy"]) == ("trainer/global_step", "epoch", "epoch")
    assert axes.keys() & {"train/loss", "lr/head"} == set()  # whose axis is that of all: the step

    rows = {name: table(name) for name in ("predictions", "features")}
    assert rows["predictions"][0].keys() == {"row", "true class", "predicted class", "confidence", "right"}
    assert {(row["true class"] == row["predicted class"]) == row["right"] for row in rows["predictions"]} == {True}
    assert [row["domain"] for row in rows["features"]] == ["source"] * 20 + ["target"] * 20
    (confusion,) = [json.loads(path.read_text()) for path in Path("runs").rglob("confusion_table_*.table.json")]
    right = sum(row[2] for row in confusion["data"] if row[0] == row[1])
    assert right == pytest.approx(values["test/target/accuracy"][0] * sum(row[2] for row in confusion["data"]))
    (artifact,) = [record.request.log_artifact.artifact for record in found if record.request.HasField("log_artifact")] or [
        record.artifact for record in found if record.HasField("artifact") and record.artifact.type == "model"
    ]
    assert (artifact.type, [entry.path for entry in artifact.manifest.contents]) == ("model", ["last.ckpt"])
    assert read_checkpoint(checkpoint)["tlda.wandb"] == run.run_id


def table(name: str) -> list[dict[str, Any]]:
    """The rows of the table of W&B that was logged as ``tables/NAME``."""
    (path,) = Path("runs").rglob(f"tables/{name}_*.table.json")
    content = json.loads(path.read_text())
    return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


@needs_wandb
def test_a_run_that_goes_on_continues_its_run_at_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    began: list[str | None] = []

    class Begun:
        """W&B's run, as far as it is used here."""

        def __init__(self, id: str | None, **options: Any) -> None:
            began.append(id)
            self.id = id or f"run{len(began)}"

        def __getattr__(self, name: str) -> Any:
            return lambda *args, **kwargs: None

    monkeypatch.delenv("WANDB_RUN_ID", raising=False)
    monkeypatch.setattr(wandb, "init", Begun)
    monkeypatch.setattr(wandb, "run", None)

    def run(epochs: int) -> Any:
        return trainer(epochs, logger=Tracker(save_dir=str(tmp_path), offline=True), log_every_n_steps=1)

    first, path = run(1), tmp_path / "first.ckpt"
    first.fit(SourceOnly(backbone=Tiny(), task=CLASSES), Toy())
    first.save_checkpoint(path)
    run(2).fit(SourceOnly(backbone=Tiny(), task=CLASSES), Toy(), ckpt_path=path)
    run(1).test(SourceOnly(backbone=Tiny(), task=CLASSES), Toy(), ckpt_path=path)
    monkeypatch.setenv("WANDB_RUN_ID", "another")
    run(2).fit(SourceOnly(backbone=Tiny(), task=CLASSES), Toy(), ckpt_path=path)
    assert began == [None, "run1", None, None], "a test is a run of its own, and what the environment names comes first"


LONG = "a_source_with_a_name_of_many_characters_to_a_target_with_a_name_of_many_characters"


def test_names_are_cut_to_the_lengths_that_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_PROJECT", "WANDB_NAME", "WANDB_TAGS", "WANDB_RUN_GROUP"):
        monkeypatch.delenv(name, raising=False)
    options = named("x" * 200, LONG * 2, [LONG, "DANN"])
    assert options["project"] == "tlda"
    assert [len(options["name"]), len(options["group"]), *map(len, options["tags"])] == [128, 128, 64, 4]
    assert options["tags"][0] == f"{LONG[:31]}…{LONG[-32:]}"


def test_the_names_that_the_environment_gives_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PROJECT", "own"), ("NAME", "mine"), ("TAGS", "first, second"), ("RUN_GROUP", "together")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    assert named("a", "b", ["c"]) == {"project": "own", "name": "mine", "group": "together", "tags": ["c", "first", "second"]}


def test_what_groups_runs_has_keys_of_its_own() -> None:
    inner = {"class_path": "tlda.data.Digits", "init_args": {"source": "mnist", "target": "usps"}}
    model = {"class_path": "tlda.methods.DANN", "init_args": {}}
    for data in (inner, {"class_path": "tlda.data.Features", "init_args": {"data": inner}}):
        found = flat_keys({"model": model, "data": data, "seed_everything": 3})
        assert {name: found[name] for name in ("method", "source", "target", "seed")} == {
            "method": "DANN",
            "source": "mnist",
            "target": "usps",
            "seed": 3,
        }
        assert found["data"] == data


@needs_wandb
@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("where", ["init", "log"])
def test_a_run_goes_on_where_its_tracker_fails(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import wandb

    def fails(*args: Any, **kwargs: Any) -> None:
        raise ValueError("no room left\nat the server")

    class Run:
        """W&B's run, that fails once it is to log."""

        log = staticmethod(fails)

    monkeypatch.setattr(wandb, "init", fails if where == "init" else lambda **options: Run())
    monkeypatch.setattr(wandb, "run", None)
    logger = Tracker(save_dir=str(tmp_path), offline=True)
    method = SourceOnly(backbone=Tiny(), task=CLASSES)
    trainer(2, logger=logger, log_every_n_steps=1).fit(method, Toy())
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tlda: W&B")]
    assert said == ["tlda: W&B does not take the run (no room left); what is in its folder is whole"]


@pytest.mark.slow
@needs_wandb
@pytest.mark.usefixtures("offline")
def test_what_a_run_translated_is_in_the_dashboard(tlda: Tlda) -> None:
    cyclegan = [arg.replace("dann.yaml", "cyclegan.yaml") for arg in TASK]
    done = tlda("fit", *cyclegan, *TINY, "--model.pretrain=0", "--model.translator.generator.generator.width=4")
    assert done.code == 0, done.err
    values = history(read(Path("runs")))
    ((name,),) = values["pictures/translation/filenames"]
    assert next(Path("runs").rglob(name)).stat().st_size > 1000
    assert {f"val/translation/{measure}" for measure in ("frechet", "kernel", "semantic")} <= set(values)


@pytest.mark.slow
@needs_wandb
@pytest.mark.usefixtures("offline")
def test_a_run_that_fails_is_closed_as_failed(tlda: Tlda) -> None:
    Path("own_tracked.py").write_text(OWN)
    done = tlda("fit", *TASK, *QUICK, "--model.plus+=own_tracked.Late", "--data.steps=4")
    refused(done, "'late'", "not finite")
    assert [record.exit.exit_code for record in read(Path("runs")) if record.HasField("exit")] == [1]


@pytest.mark.slow
@needs_wandb
@pytest.mark.usefixtures("offline")
def test_a_bench_groups_its_runs_by_table(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(launch.LAUNCHERS, "local", Here)
    Path("tiny.yaml").write_text(yaml.safe_dump(TABLE, sort_keys=False))
    Path("results/tiny").mkdir(parents=True)
    done = tlda("bench", "tiny.yaml", "--tasks", "fh", "--seeds", "0", "--wandb")
    assert done.code == 0, done.err
    for method in ("source_only", "dann"):
        found = read(Path("results/tiny/logs") / f"{method}-fh-0")
        run = next(record.run for record in found if record.HasField("run"))
        assert (run.run_group, run.job_type, list(run.tags)) == ("tiny", "cell", [method, "fh"])
        assert run.display_name == f"{method}-fh-0"
        logged = config(found)
        assert logged["data"]["init_args"]["target"] == "handwritten"
        assert {name: logged[name] for name in ("table", "method", "class", "transfer", "setting", "seed")} == {
            "table": "tiny",
            "method": method,
            "class": {"source_only": "SourceOnly", "dann": "DANN"}[method],
            "transfer": "fh",
            "setting": "unsupervised",
            "seed": 0,
        }
        result = json.loads(next(Path("results/tiny").glob(f"{method}-fh-0*.json")).read_text())
        assert (logged["cell"], logged["protocol"]) == (result["key"], result["config"]["protocol"])
        assert {"test/target/accuracy", "oracle/target/accuracy", "pictures/confusion/filenames", "pictures/features/filenames"} <= set(
            history(found)
        )
    found = read(Path("results/tiny/logs/summary"))
    run = next(record.run for record in found if record.HasField("run"))
    assert (run.run_group, run.job_type, run.display_name) == ("tiny", "summary", "tiny-summary")
    (name,) = Path("results/tiny/logs/summary").rglob("table_*.table.json")
    shown = json.loads(name.read_text())
    assert shown["columns"][:2] == ["method", "fh"]
    assert [row[0] for row in shown["data"]] == ["source_only", "dann"]
    assert list(Path("results/tiny/logs/summary").rglob("page_*.html"))


@pytest.mark.slow
def test_an_own_logger_and_an_own_bar_leave_the_working_folder_as_it_was(tlda: Tlda) -> None:
    logger = ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=own", "--trainer.logger.name=", "--trainer.logger.version="]
    options = [option for option in TINY if "progress_bar" not in option]
    done = tlda("fit", *TASK, *options, *logger, "--trainer.callbacks+=TQDMProgressBar", "--trainer.default_root_dir=runs")
    assert done.code == 0, done.err
    assert {path.name for path in Path().iterdir()} == {"own", "runs"}
    (config,) = Path("runs").rglob("config.yaml")
    assert (config.parent / "checkpoints" / "last.ckpt").is_file()
    assert "test/target/accuracy" in Path("own/metrics.csv").read_text()


@pytest.mark.slow
def test_pictures_are_drawn_at_the_precision_that_is_measured(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, forward = [], Method.forward

    def watched(self: Method, x: torch.Tensor) -> Output:
        output = forward(self, x)
        seen.append(("collect" in (frame.function for frame in inspect.stack(0)), output.logits.dtype))
        return output

    monkeypatch.setattr(Method, "forward", watched)
    assert tlda("fit", *TASK, *TINY, "--trainer.precision=bf16-mixed").code == 0
    assert {dtype for _, dtype in seen} == {torch.bfloat16}
    assert {drawn for drawn, _ in seen} == {True, False}
