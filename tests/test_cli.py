"""The command line, as a user meets it."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.conftest import EXPERIMENTS, QUICK, TASK, TINY, Tlda
from tests.helpers.folders import FOLDERS, write_folders
from tlda import __version__, backbones
from tlda.bench.table import merge
from tlda.cli import COMMANDS
from tlda.commands.run import Run
from tlda.commands.running import run_stamp
from tlda.config import build
from tlda.config.build import load
from tlda.config.going_on import with_checkpoint
from tlda.config.overlays import read_yaml
from tlda.errors import UserError
from tlda.training.checkpoint import recipe, without_files


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return found


def only_run(root: Path = Path("runs")) -> Path:
    (run,) = (path.parent for path in root.rglob("config.yaml"))
    return run


# Before anything runs


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_needs_no_torch_does_not_import_it(option: str) -> None:
    code = f"import sys; from tlda.cli import main; assert main(['{option}']) == 0; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: tlda" in done.stdout if option == "--help" else done.stdout.strip() == __version__


def test_a_reader_that_has_enough_ends_the_command_without_a_word() -> None:
    code = "import sys; from tlda.cli import main; sys.stdin.read(); sys.exit(main(['list', 'methods']))"
    listing = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert listing.stdout
    listing.stdout.close()
    assert listing.communicate()[1] == b""
    assert listing.returncode == 141


def test_help_names_every_command(tlda: Tlda) -> None:
    help_text = tlda("--help").out
    assert all(f"  {name} " in help_text for name in COMMANDS)
    assert tlda().out == help_text


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict", "bench"])
def test_a_command_shows_its_options(tlda: Tlda, command: str) -> None:
    done = tlda(command, "--help")
    assert done.code == 0
    assert {"predict": "--output", "bench": "--seeds"}.get(command, "--trainer.max_epochs") in done.out


@pytest.mark.slow
def test_print_config_resolves_the_three_axes_and_short_names(tlda: Tlda) -> None:
    done = tlda("fit", *TASK, "--model.backbone", "DTN", "--model.optimizer", "SGD", "--model.optimizer.momentum", "0.8", "--print_config")
    assert done.code == 0
    config = yaml.safe_load(done.out)
    assert config["trainer"]["max_epochs"] == 5  # of base
    assert config["model"]["class_path"] == "tlda.methods.DANN"  # of method
    assert config["data"]["init_args"]["source"] == "fonts"  # of task
    assert config["model"]["init_args"]["backbone"]["class_path"] == "tlda.backbones.DTN"
    assert config["model"]["init_args"]["optimizer"]["init_args"]["momentum"] == 0.8


@pytest.mark.slow
def test_null_is_nothing_within_an_option_too(tlda: Tlda) -> None:
    done = tlda("fit", *TASK, "--model.backbone=Timm", "--model.backbone.weights", "null", "--print_config")
    assert yaml.safe_load(done.out)["model"]["init_args"]["backbone"]["init_args"]["weights"] is None


@pytest.mark.slow
def test_a_loss_is_appended_on_the_command_line(tlda: Tlda) -> None:
    plus = ["--model.plus+=MCC", "--model.plus.temperature", "3.5"]
    (loss,) = yaml.safe_load(tlda("fit", *TASK, *plus, "--print_config").out)["model"]["init_args"]["plus"]
    assert (loss["class_path"], loss["init_args"]["temperature"]) == ("tlda.losses.MCC", 3.5)
    assert tlda("fit", *TASK, *QUICK, *plus, "--trainer.log_every_n_steps=1").code == 0
    assert float(rows(only_run() / "metrics.csv")[0]["train/mcc"]) > 0


@pytest.mark.parametrize("kind", ["methods", "losses", "backbones", "data", "optimizers", "schedules"])
def test_list_names_what_there_is(tlda: Tlda, kind: str) -> None:
    name = {"methods": "DANN", "losses": "MCC", "backbones": "LeNet", "data": "Folders", "optimizers": "SGD", "schedules": "Cosine"}[kind]
    done = tlda("list", kind)
    (line,) = (line for line in done.out.splitlines() if line.split()[0] == name)
    assert len(line.split()) > 3, "a class is listed with what it is"
    assert "`" not in done.out
    assert done.out in tlda("list").out


def test_list_names_the_methods_of_one_setting(tlda: Tlda) -> None:
    for words in (["--setting", "source-free"], ["methods", "--setting=source-free"]):
        names = {line.split()[0] for line in tlda("list", *words).out.splitlines()[1:]}
        assert "SHOT" in names
        assert not names & {"DANN", "TENT", "FineTune"}
    assert "did you mean 'source-free'" in tlda("list", "--setting", "source_free").err
    assert "is of methods" in tlda("list", "losses", "--setting", "test-time").err


# fit


@pytest.mark.slow
def test_fit_leaves_a_whole_run(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        *("checkpoints", "config.yaml", "hparams.yaml", "metrics.csv", "features.png", "confusion.png", "samples.png")
    }
    assert [path.name for path in (trained / "checkpoints").iterdir()] == ["last.ckpt"]
    columns = rows(trained / "metrics.csv")[0]
    terms = {"train/task", "train/domain", "train/loss", "lr/backbone", "lr/head", "lr/losses"}
    assert terms | {"val/source/accuracy", "oracle/target/accuracy"} <= set(columns)
    first = rows(trained / "metrics.csv")[0]
    assert float(first["train/loss"]) == pytest.approx(float(first["train/task"]) + float(first["train/domain"]), rel=1e-5)


@pytest.mark.slow
def test_a_saved_configuration_gives_bit_identical_weights(tlda: Tlda, trained: Path) -> None:
    done = tlda("fit", "-c", trained / "config.yaml", "--trainer.default_root_dir", "again")
    assert done.code == 0
    first, second = weights(trained), weights(only_run(Path("again")))
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.slow
def test_another_seed_gives_other_weights(tlda: Tlda, trained: Path) -> None:
    assert tlda("fit", "-c", trained / "config.yaml", "--seed_everything", "1", "--trainer.default_root_dir", "again").code == 0
    assert not torch.equal(weights(trained)["network.head.weight"], weights(only_run(Path("again")))["network.head.weight"])


@pytest.mark.slow
def test_two_runs_in_one_second_have_two_folders(tlda: Tlda) -> None:
    said = [tlda("fit", *TASK, *QUICK).out.strip().split()[-1] for _ in range(2)]
    assert said[0] != said[1]
    assert all(
        (Path(folder) / "metrics.csv").is_file() and Path(folder).parts[:3] == ("runs", "fonts_to_handwritten", "DANN") for folder in said
    )


@pytest.mark.slow
def test_a_class_of_ones_own_is_named_by_its_path(tlda: Tlda) -> None:
    Path("mine_cli.py").write_text(
        "from tlda.method import Method\n\nclass Mine(Method):\n    def objective(self, batch, source, target):\n"
        "        return {'mine': super().objective(batch, source, target)['task'] * 2}\n"
    )
    done = tlda("fit", *TASK, *QUICK, "--model", "mine_cli.Mine", "--trainer.log_every_n_steps=1")
    assert done.code == 0, done.err
    assert "train/mine" in rows(only_run() / "metrics.csv")[0]
    assert only_run().parent.name == "Mine"


@pytest.mark.slow
def test_without_a_logger_the_configuration_is_still_kept(tlda: Tlda) -> None:
    done = tlda("fit", *TASK, *TINY, "--trainer.logger", "false")
    assert done.code == 0
    run = only_run()
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert not (run / "metrics.csv").exists()
    assert str(run) in done.out


@pytest.mark.slow
def test_fast_dev_run_leaves_nothing(tlda: Tlda, tmp_path: Path) -> None:
    done = tlda("fit", *TASK, *TINY, "--trainer.fast_dev_run", "true")
    assert done.code == 0
    assert list(tmp_path.iterdir()) == []
    assert "the run is in" not in done.out


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint(tlda: Tlda, trained: Path, recwarn: pytest.WarningsRecorder) -> None:
    done = tlda("fit", "--ckpt_path", trained / "checkpoints" / "last.ckpt", *TINY, "--trainer.max_epochs", "2")
    assert done.code == 0
    assert torch.load(only_run() / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4
    assert (trained / "checkpoints" / "last.ckpt").is_file()
    assert [str(w.message) for w in recwarn if "dirpath" in str(w.message) or "callbacks" in str(w.message)] == []


@pytest.mark.slow
def test_the_progress_bar_shows_loss_and_accuracies(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytorch_lightning.Trainer.test", lambda *args, **options: [])  # which has a bar of its own
    shown = Run.from_command_line(["fit", *TASK, *QUICK, "--trainer.log_every_n_steps=1"]).trainer.progress_bar_metrics
    assert {"train/loss", "val/source/accuracy", "oracle/target/accuracy"} <= set(shown)


@pytest.mark.slow
def test_a_run_that_goes_on_is_the_run(tlda: Tlda) -> None:
    command = [
        *("fit", *TASK, *TINY),
        "--model.plus+=MCC",
        "--model.plus.temperature=3.5",
        "--data.augment+=Cutout",
        "--trainer.max_epochs=2",
    ]
    command += ["--trainer.accumulate_grad_batches=2", "--trainer.check_val_every_n_epoch=1"]
    assert tlda(*command).code == 0
    first = only_run()
    state = torch.load(first / "checkpoints" / "last.ckpt", weights_only=True)
    state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] = 1  # as if it had been killed
    torch.save(state, "killed.ckpt")
    # Given again, as it was.
    method = Run.from_command_line([*command, "--ckpt_path=killed.ckpt", "--trainer.default_root_dir=again"])
    assert sorted(method.model.losses) == ["domain", "mcc"]
    assert len(method.options.data.init_args.augment) == 1
    # By the checkpoint alone: the trainer's decisive options come with it.
    alone = Run.from_command_line(["fit", "--ckpt_path=killed.ckpt", "--trainer.default_root_dir=alone", "--trainer.logger=false"])
    assert (alone.trainer.max_epochs, alone.trainer.accumulate_grad_batches) == (2, 2)
    assert alone.trainer.precision == "32-true"


GOING_ON = {
    "batch size": (["--data.batch_size=4"], "data.batch_size 4, not 8"),
    "accumulation": (["--trainer.accumulate_grad_batches=2"], "trainer.accumulate_grad_batches 2, not off"),
    "precision": (["--trainer.precision=64"], "trainer.precision 64, not 32"),
    "a loss": (["--model.trade_off=2"], "model.trade_off 2.0, not 1.0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", GOING_ON)
def test_what_changes_in_a_run_that_goes_on_is_asked_for_and_said(tlda: Tlda, trained: Path, case: str) -> None:
    options, words = GOING_ON[case]
    more = ["fit", "--ckpt_path", trained, "--trainer.max_epochs=2", "--trainer.logger=false"]
    assert words in tlda(*more, *options).out
    name, value = options[0].lstrip("-").split("=")
    part, option = name.split(".")
    config: dict[str, Any] = {part: {option: int(value)} if part == "trainer" else {"init_args": {option: int(value)}}}
    Path("other.yaml").write_text(yaml.safe_dump(config))
    done = tlda(*more, "-c", "other.yaml")
    assert done.code == 1
    assert f"ask for the other by --{name} " in done.err


def test_a_finished_run_does_not_go_on(tlda: Tlda, trained: Path, tmp_path: Path) -> None:
    done = tlda("fit", "--ckpt_path", trained)
    assert done.code == 1
    assert "has ended: its epochs are 1, and --trainer.max_epochs is 1" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_latest_points_to_the_newest_run(tlda: Tlda, trained: Path) -> None:
    latest = trained.parents[2] / "latest"
    assert latest.resolve() == trained.resolve()
    assert tlda("predict", "--ckpt_path", latest).code == 0


@pytest.mark.slow
def test_a_run_that_fails_leaves_no_folder(tlda: Tlda, tmp_path: Path) -> None:
    done = tlda("fit", *TASK, *QUICK, "--data.source=mnist", "--data.root=nowhere")
    assert done.code == 1
    assert list(tmp_path.iterdir()) == []


JOBS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "torchrun": ({"TORCHELASTIC_RUN_ID": "17"}, {"LOCAL_RANK": "{rank}", "RANK": "{rank}"}),
    "torchrun alone": ({"TORCHELASTIC_RUN_ID": "none"}, {"LOCAL_RANK": "{rank}", "RANK": "{rank}"}),
    "srun": ({"SLURM_JOB_ID": "93", "SLURM_NTASKS": "2"}, {"SLURM_PROCID": "{rank}", "SLURM_LOCALID": "{rank}"}),
}


@pytest.mark.parametrize("case", JOBS)
def test_the_processes_of_a_job_share_a_folder(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job, process = JOBS[case]
    found = []
    for rank in range(2):
        for name, value in {**job, **process}.items():
            monkeypatch.setenv(name, value.format(rank=rank))
        found.append(run_stamp(["fit"]))
    assert found[0] == found[1]
    assert found[0] != run_stamp(["fit", "--seed_everything=1"])
    assert job.get("SLURM_JOB_ID", "") in found[0]


def test_runs_beside_each_other_have_two_stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "93")  # of a shell on a node, in which commands follow each other
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert run_stamp(["fit"]) != run_stamp(["fit"])


def test_processes_of_many_machines_need_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    with pytest.raises(UserError, match="--rdzv-id"):
        run_stamp(["fit"])


# What a checkpoint alone is enough for


@pytest.mark.slow
@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_a_network_that_was_not_trained_is_not_measured(tlda: Tlda, trained: Path, command: str) -> None:
    done = tlda(command, "-c", trained / "config.yaml")
    assert done.code == 1
    assert f"add --ckpt_path {trained}, the folder of a run" in done.err
    assert "add --ckpt_path RUN" in tlda(command, *TASK).err
    assert not Path("predictions.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["in a file", "twice", "by its folder"])
def test_a_checkpoint_is_found_wherever_it_is_named(tlda: Tlda, trained: Path, how: str) -> None:
    path = trained / "checkpoints" / "last.ckpt"
    Path("ckpt.yaml").write_text(yaml.safe_dump({"ckpt_path": str(path)}))
    named = {
        "in a file": ["-c", "ckpt.yaml"],
        "twice": ["--ckpt_path=nothere.ckpt", "--ckpt_path", str(path)],
        "by its folder": ["--ckpt_path", str(trained)],
    }[how]
    made = Run.from_command_line(["test", *named, "--trainer.logger=false"])
    assert made.options.ckpt_path == str(path)
    assert made.options.data.init_args.batch_size == 8  # of the checkpoint


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize("how", ["file", "option"])
def test_no_option_lets_a_checkpoint_run_code(tlda: Tlda, how: str) -> None:
    torch.save({"state_dict": {}, "evil": Evil()}, "evil.ckpt")
    Path("evil.yaml").write_text("ckpt_path: evil.ckpt\nweights_only: false\n")
    named = {"file": ["-c", "evil.yaml"], "option": ["--ckpt_path=evil.ckpt", "--weights_only=false"]}[how]
    for command in ("fit", "test", "predict"):
        assert tlda(command, *TASK, *named).code == 1
        assert tlda(command, *TASK, "--ckpt_path", "evil.ckpt").code == 1
    assert not Path("ran").exists()


@pytest.mark.slow
def test_a_checkpoint_names_no_code_that_the_command_does_not(tlda: Tlda, trained: Path) -> None:
    Path("mine_ckpt.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\nfrom tlda.methods import DANN\nclass MineDANN(DANN): pass\n"
    )
    state = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    state["tlda"]["model"]["class_path"] = "mine_ckpt.MineDANN"
    state["tlda"]["method"] = "MineDANN"
    torch.save(state, "mine.ckpt")
    done = tlda("predict", "--ckpt_path", "mine.ckpt")
    assert done.code == 1
    assert "names mine_ckpt.MineDANN, which is not tlda's" in done.err
    assert not Path("ran").exists()
    assert tlda("predict", "--ckpt_path", "mine.ckpt", "--model", "mine_ckpt.MineDANN").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(("command", "metric"), [("validate", "oracle/target/accuracy"), ("test", "test/target/accuracy")])
def test_a_checkpoint_is_measured_alone(tlda: Tlda, trained: Path, command: str, metric: str, recwarn: pytest.WarningsRecorder) -> None:
    done = tlda(command, "--ckpt_path", trained / "checkpoints" / "last.ckpt")
    assert done.code == 0
    run = only_run()
    assert str(run) in done.out
    assert not (run / "checkpoints").exists()
    assert 0 <= float(rows(run / "metrics.csv")[0][metric]) <= 1
    assert [str(w.message) for w in recwarn if "dirpath" in str(w.message) or "callbacks" in str(w.message)] == []


@pytest.mark.slow
def test_what_the_command_says_wins_over_the_checkpoint(tlda: Tlda, trained: Path) -> None:
    checkpoint = trained / "checkpoints" / "last.ckpt"
    done = tlda("test", "--data.target", "fonts", f"--ckpt_path={checkpoint}")
    assert "come from the checkpoint, except those that the command names" in done.out
    used: dict[str, Any] = yaml.safe_load((only_run() / "config.yaml").read_text())
    assert used["data"]["init_args"]["target"] == "fonts"
    assert used["data"]["init_args"]["batch_size"] == 8  # of the checkpoint


@pytest.mark.slow
def test_the_seed_comes_from_the_checkpoint(tlda: Tlda) -> None:
    own = ["--data=tests.helpers.toy.Toy", "--model=Oracle", "--model.backbone=tests.helpers.toy.Tiny"]
    fitted = Run.from_command_line(["fit", *own, *TINY, "--seed_everything=5", "--trainer.logger=false"]).datamodule
    again = ["--ckpt_path", str(only_run() / "checkpoints" / "last.ckpt")]
    tested = Run.from_command_line(["test", *again]).datamodule
    assert tested.evaluation_rows[1].rows.tolist() == fitted.evaluation_rows[1].rows.tolist()
    assert not set(tested.evaluation_rows[1].rows.tolist()) & set(fitted.training_rows()["oracle"].rows.tolist())
    args = with_checkpoint(["fit", *again, "--seed_everything=3"], Path(again[1]))
    assert args.index("--seed_everything=5") < args.index("--seed_everything=3"), "what the command says wins"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [("Timm", "test_efficientnet"), ("Torchvision", "mobilenet_v3_small")])
def test_the_weights_that_a_network_began_with_are_not_read_again(kind: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "began.pth"
    torch.save(getattr(backbones, kind)(name, weights=None).model.state_dict(), file)
    backbone = {"class_path": kind, "init_args": {"name": name, "weights": str(file)}}
    method, _, run = build.build(
        {
            "model": {"class_path": "SourceOnly", "init_args": {"backbone": backbone}},
            "data": {"class_path": "tests.helpers.toy.Toy"},
            "trainer": {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False},
        }
    )
    run.strategy.connect(method)
    run.save_checkpoint(tmp_path / "a.ckpt")
    file.unlink()
    assert torch.equal(load(tmp_path / "a.ckpt").head.weight, method.head.weight)
    known = recipe(tmp_path / "a.ckpt")["model"]
    assert without_files(known)["init_args"]["backbone"]["init_args"]["weights"] is None
    known["init_args"]["plus"] = [{"class_path": "tlda.losses.CoTuning"}]
    assert without_files(known)["init_args"]["backbone"]["init_args"]["weights"] == str(file), "its classifier is read from there"


@pytest.mark.slow
def test_predictions_are_the_models_own(tlda: Tlda, trained: Path, tmp_path: Path) -> None:
    checkpoint = trained / "checkpoints" / "last.ckpt"
    done = tlda("predict", "--ckpt_path", checkpoint, "--trainer.precision", "32", "--output", "out/predictions.csv")
    assert done.code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing but the predictions is kept"
    found = rows(Path("out/predictions.csv"))
    method = load(checkpoint)
    data = Run.from_command_line(["fit", *TASK, *QUICK]).datamodule
    images = data.loaded[1].train.images.float() / 255
    with torch.no_grad():
        confidence, label = method(images).logits.softmax(1).max(1)
    assert [int(row["file"]) for row in found] == list(range(len(images)))
    assert [row["class"] for row in found] == [str(c) for c in label.tolist()]
    assert torch.tensor([float(row["confidence"]) for row in found]) == pytest.approx(confidence, abs=2e-5)


@pytest.mark.slow
def test_a_target_without_labels_is_trained_on_and_predicted(tlda: Tlda) -> None:
    root = write_folders(Path("photos"), "ab", ".")
    assert tlda("fit", *FOLDERS, *TINY, "--data.root", root).code == 0
    run = only_run()
    assert (run / "features.png").is_file()
    assert not (run / "confusion.png").exists()
    assert tlda("predict", "--ckpt_path", run / "checkpoints" / "last.ckpt").code == 0
    found = rows(Path("predictions.csv"))
    assert [row["file"] for row in found] == [f"photos/target/{i}.png" for i in range(6)]
    assert {row["class"] for row in found} <= {"a", "b"}


def makes_a_configuration(*paths: Path) -> bool:
    """Whether overlays, one over the other, name options that there are."""
    configs: list[Any] = [read_yaml(path) for path in paths]
    try:
        build.resolve(merge(*configs))
    except UserError:
        return False
    return True


def overlays(axis: str) -> list[Path]:
    return sorted((EXPERIMENTS / axis).iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("path", overlays("task"), ids=lambda path: path.stem)
def test_every_task_makes_a_configuration_on_a_base(path: Path) -> None:
    assert any(makes_a_configuration(base, EXPERIMENTS / "method/dann.yaml", path) for base in overlays("base"))


@pytest.mark.slow
def test_every_base_makes_a_configuration_with_a_task() -> None:
    fit = [[base, EXPERIMENTS / "method/dann.yaml"] for base in overlays("base")]
    assert [base for base, method in fit if not any(makes_a_configuration(base, method, task) for task in overlays("task"))] == []


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["method", "tuning"])
def test_every_experiment_makes_a_configuration(axis: str) -> None:
    task = [Path(word) for word in TASK if word != "-c"]
    assert [path for path in overlays(axis) if not makes_a_configuration(*task, path)] == []
