"""Bad input: an exit code, and one sentence that says what was wrong, where, and what to do."""

from __future__ import annotations

import gzip
import inspect
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from tests.conftest import QUICK, TASK, Outcome, Tlda
from tests.helpers.folders import FOLDERS, write_folders
from tlda.config.build import build
from tlda.config.classes import BASES
from tlda.errors import UserError, subclasses
from tlda.options.limits import RANGES

FIT = ["fit", *TASK, *QUICK]
FOLDER_FIT = ["fit", *FOLDERS, *QUICK, "--data.root", "data"]
CHECKPOINT = "CHECKPOINT"
"""Stands for the checkpoint of a run."""

OWN = """
from tlda.losses import Loss
from tlda.method import Method

class Late(Loss):
    steps = 0
    def forward(self, batch, source, target, progress):
        self.steps += 1
        return source.features.sum() * (float("nan") if self.steps == 3 else 0.0)

class Fussy(Method):
    def __init__(self, **kwargs):
        raise RuntimeError("not on a Monday")
"""


def refused(done: Outcome, *words: str) -> None:
    """Check that a command ended with one sentence, its last word, that has all ``words`` in it."""
    assert done.code == 1
    assert len(done.sentences) == 1, done.err
    assert "Traceback" not in done.err
    (sentence,) = done.sentences
    assert done.err.strip().endswith(sentence)
    assert [word for word in words if word not in sentence] == [], sentence


COMMANDS = {
    "no such command": (["fitt"], ["'fitt'", "did you mean 'fit'?"]),
    "nothing is said": (["fit"], ["--model", "--data", "-c base/"]),
    "unknown option": ([*FIT, "--trainer.max_epoch", "2"], ["--trainer.max_epoch'", "did you mean 'trainer.max_epochs'?"]),
    "unknown option of a far name": ([*FIT, "--bogus"], ["'--bogus'", "known: ", "ckpt_path", "trainer"]),
    "unknown option of a method": ([*FIT, "--model.trade_of", "2"], ["DANN", "'trade_of'", "did you mean 'trade_off'?"]),
    "unknown option of the data": ([*FIT, "--data.sourc", "x"], ["Digits", "'sourc'", "did you mean 'source'?"]),
    "unknown option of a backbone": ([*FIT, "--model.backbone.sizes", "3"], ["LeNet", "'sizes'", "did you mean 'size'?"]),
    "unknown option of a loss": ([*FIT, "--model.plus+=MCC", "--model.plus.temperatur=3"], ["MCC", "did you mean 'temperature'?"]),
    "an option that comes from the data": ([*FIT, "--model.task", "7"], ["--model.task", "--data.classes"]),
    "unknown method": ([*FIT, "--model", "DANNN"], ["'DANNN' of --model", "did you mean 'DANN'?"]),
    "unknown backbone": ([*FIT, "--model.backbone", "LeNett"], ["'LeNett' of --model.backbone", "did you mean 'LeNet'?"]),
    "unknown loss": ([*FIT, "--model.plus+=MCCC"], ["'MCCC' of --model.plus", "did you mean 'MCC'?"]),
    "unknown data": ([*FIT, "--data", "Digit"], ["'Digit' of --data", "did you mean 'Digits'?"]),
    "no such module": ([*FIT, "--model", "nomodule.Mine"], ["'nomodule.Mine' of --model", "No module named", "MODULE.CLASS"]),
    "no such class in a module": ([*FIT, "--model", "own_bad.Missing"], ["'own_bad.Missing'", "no attribute 'Missing'"]),
    "a class of another kind": ([*FIT, "--model", "own_bad.Late"], ["'own_bad.Late' of --model is not a Method", "DANN"]),
    "a class that cannot be made": ([*FIT, "--model", "own_bad.Fussy"], ["not on a Monday", "--debug"]),
    "a loss twice": ([*FIT, "--model.plus+=MCC", "--model.plus+=MCC"], ["DANN", "'mcc'", "--model.plus"]),
    "a value of another type": ([*FIT, "--trainer.max_epochs", "two"], ["'two' of --trainer.max_epochs", "a whole number"]),
    "a value of a class of another type": ([*FIT, "--model.trade_off", "x"], ["'x' of --model.trade_off", "a number"]),
    "no list": ([*FIT, "--data.classes", "3"], ["'3' of --data.classes", "a list, as in [1,2]"]),
    "a choice that there is not": ([*FIT, "--trainer.precision", "bf16-mixd"], ["--trainer.precision", "did you mean 'bf16-mixed'?"]),
    "a trainer that there is not": ([*FIT, "--trainer.accelerator", "tpuu"], ["--trainer options", "tpuu"]),
    "unknown group": ([*FIT, "--model.lr_multipliers.foo", "3"], ["lr_multipliers", "foo", "backbone"]),
    "unknown domain": ([*FIT, "--data.source", "fontz"], ["'fontz'", "did you mean 'fonts'?"]),
    "unknown class": ([*FIT, "--data.classes", "[0,17]"], ["--data.classes", "'17'", "0 to 9"]),
    "one class": ([*FIT, "--data.classes", "[3]"], ["only one class", "--data.classes"]),
    "no rows in a batch": ([*FIT, "--data.batch_size", "0"], ["--data.batch_size is 0", "at least 1"]),
    "no steps": ([*FIT, "--data.steps", "0"], ["--data.steps is 0", "at least 1"]),
    "holding all out": ([*FIT, "--data.holdout", "1.0"], ["--data.holdout is 1.0", "between 0 and 1"]),
    "no configuration file": (["fit", "-c", "nothere.yaml"], ["nothere.yaml", "No such file"]),
    "broken YAML": (["fit", "-c", "broken.yaml"], ["broken.yaml is not valid YAML in line 2"]),
    "a configuration that is none": (["fit", "-c", "list.yaml"], ["list.yaml is not a configuration", "model"]),
    "unknown option in a file": ([*FIT, "-c", "typo.yaml"], ["typo.yaml", "'trainer.max_epoch'", "did you mean 'trainer.max_epochs'?"]),
    "unknown part in a file": ([*FIT, "-c", "modle.yaml"], ["modle.yaml", "'modle'", "did you mean 'model'?"]),
    "an option out of its range": ([*FIT, "--model", "MCD", "--model.feature_steps=0"], ["--model.feature_steps is 0", "1 or more"]),
    "an option of a loss out of its range": ([*FIT, "--model.plus+=MCC", "--model.plus.temperature=0"], ["temperature is 0", "above 0"]),
    "a warm-up in epochs": ([*FIT, "--model.schedule=Cosine", "--model.schedule.warmup=2"], ["schedule.warmup is 2", "below 1"]),
    "a rate below zero": ([*FIT, "--model.optimizer.lr=-1"], ["--model.optimizer.lr is -1.0", "0 or more"]),
    "an option beside its class": ([*FIT, "-c", "beside.yaml"], ["beside.yaml", "'trade_off' in model itself", "below model.init_args"]),
    "an option beside a class within": ([*FIT, "-c", "within.yaml"], ["within.yaml", "'temperature' in model.plus", "plus.init_args"]),
    "options that are no mapping": ([*FIT, "-c", "number.yaml"], ["number.yaml has model.init_args: 3", "an entry for each option"]),
    "a trainer that is a number": ([*FIT, "-c", "trainer.yaml"], ["trainer.yaml has trainer: 3", "max_epochs"]),
    "data that are a number": ([*FIT, "-c", "data.yaml"], ["data.yaml has data: 3", "class_path"]),
    "missing data": ([*FIT, "--data.source=mnist", "--data.root=nowhere"], ["mnist is missing", "nowhere/digits/MNIST", "--data.download"]),
    "no root": (FOLDER_FIT[:-2], ["--data.root"]),
    "the network is for another size": ([*FIT, "--model.backbone.size", "28"], ["28 x 28", "16 x 16", "--data.size"]),
    "the network is for smaller images than it can": ([*FIT, "--model.backbone.size", "8"], ["LeNet", "16 pixels", "8"]),
    "the network is for colour": ([*FIT, "--model.backbone.channels", "3"], ["3 channel", "have 1", "--model.backbone.channels 1"]),
    "a loss is no number": ([*FIT, "--model.plus+=own_bad.Late", "--data.steps=9"], ["'late'", "not finite", "epoch 0, step 2", "lower"]),
    "runs below a file": ([*FIT, "--trainer.default_root_dir", "file/x"], ["file/x", "Not a directory", "--trainer.default_root_dir"]),
    "runs where none can be": ([*FIT, "--trainer.default_root_dir", "/proc/x"], ["/proc/x", "--trainer.default_root_dir"]),
    "predictions below a file": (["predict", "--ckpt_path", CHECKPOINT, "--output", "file/x.csv"], ["into file", "--output"]),
    "predictions into a folder": (["predict", "--ckpt_path", CHECKPOINT, "--output", "folder"], ["folder", "Is a directory"]),
    "no checkpoint": (["predict", "--ckpt_path", "nothere.ckpt"], ["no checkpoint at nothere.ckpt"]),
    "half a checkpoint": (["predict", "--ckpt_path", "half.ckpt"], ["half.ckpt is not a readable checkpoint", "cut short"]),
    "half a checkpoint to go on from": ([*FIT, "--ckpt_path", "half.ckpt"], ["half.ckpt is not a readable checkpoint"]),
    "half a checkpoint to start from": ([*FIT, "--model.init_from", "half.ckpt"], ["half.ckpt is not a readable checkpoint"]),
    "no checkpoint at all": (["test", "--ckpt_path", "list.yaml"], ["list.yaml is not a readable checkpoint"]),
    "tensors that are no checkpoint": (["test", "--ckpt_path", "tensors.ckpt"], ["tensors.ckpt is not a checkpoint", "state_dict"]),
    "another's checkpoint": (["test", *TASK, "--ckpt_path", "other.ckpt"], ["other.ckpt was not written by", "--model.init_from"]),
    "another method's checkpoint": (["test", "--ckpt_path", CHECKPOINT, "--model", "CDAN"], ["DANN", "CDAN", "--model.init_from"]),
    "a checkpoint of classes in another order": (
        ["test", "--ckpt_path", CHECKPOINT, "--data.classes=[0,1,2,3,4,5,6,7,9,8]"],
        ["class 8 is '8' in the checkpoint and '9' in the data"],
    ),
    "a checkpoint of other classes": (["test", "--ckpt_path", CHECKPOINT, "--data.classes=[0,1,2]"], ["10 classes", "the data 3"]),
    "weights of another network": (
        [*FIT, "--model.init_from", CHECKPOINT, "--model.backbone.num_features=9"],
        ["last.ckpt does not fit", "'backbone.layers.", "(500", "not (9", "--model.backbone"],
    ),
    "a checkpoint at an address": (["test", "--ckpt_path", "http://x.y/z.ckpt"], ["http://x.y/z.ckpt is an address", "fetch it"]),
    "a folder without a checkpoint": (["test", "--ckpt_path", "folder"], ["folder has no checkpoints/last.ckpt"]),
    "an option of Lightning's own": (["test", "--ckpt_path", CHECKPOINT, "--weights_only=true"], ["unknown option '--weights_only"]),
    "no epochs": ([*FIT, "--trainer.max_epochs=0"], ["--trainer.max_epochs is 0", "nothing is trained"]),
    "a run of no steps": ([*FIT, "--trainer.max_steps=0"], ["--trainer.max_steps is 0", "nothing is trained"]),
    "no batches": ([*FIT, "--trainer.limit_train_batches=0"], ["--trainer.limit_train_batches is 0"]),
    "a negative gradient": ([*FIT, "--trainer.gradient_clip_val=-1"], ["--trainer.gradient_clip_val is -1", "0 or more"]),
    "nothing accumulated": ([*FIT, "--trainer.accumulate_grad_batches=0"], ["--trainer.accumulate_grad_batches is 0", "1 or more"]),
    "no epoch of validation": ([*FIT, "--trainer.check_val_every_n_epoch=-1"], ["check_val_every_n_epoch is -1", "1 or more"]),
    "no step that is logged": ([*FIT, "--trainer.log_every_n_steps=0"], ["--trainer.log_every_n_steps is 0", "1 or more"]),
    "fewer epochs than none": ([*FIT, "--trainer.min_epochs=-1"], ["--trainer.min_epochs is -1", "0 or more"]),
    "devices that are none": ([*FIT, "--trainer.devices=abc"], ["--trainer.devices is abc", "auto"]),
    "workers that are none": ([*FIT, "--data.num_workers=-1"], ["--data.num_workers is -1", "0 or more"]),
    "half precision": ([*FIT, "--trainer.precision=16-true"], ["--trainer.precision is 16-true", "16-mixed"]),
    "a seed below zero": ([*FIT, "--seed_everything=-1"], ["--seed_everything is -1", "from 0 to"]),
    "a seed beyond all": ([*FIT, "--seed_everything=1e30"], ["--seed_everything"]),
    "no such list": (["list", "dta"], ["'dta'", "did you mean 'data'?"]),
    "no table": (["bench"], ["table", "tlda bench --help"]),
    "a table that is not there": (["bench", "nothere.yaml"], ["nothere.yaml", "No such file"]),
    "a table of broken YAML": (["bench", "broken.yaml"], ["broken.yaml is not valid YAML in line 2"]),
    "unknown option of bench": (["bench", "t.yaml", "--seeds", "x", "--metods", "y"], ["--metods", "tlda bench --help"]),
}  # fmt: skip


@pytest.fixture
def bad(tmp_path: Path, trained: Path) -> Path:
    """A folder of all that can be wrong."""
    (tmp_path / "own_bad.py").write_text(OWN)
    (tmp_path / "broken.yaml").write_text("trainer: {max_epochs: 1\nmodel: [")
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    (tmp_path / "typo.yaml").write_text("trainer: {max_epoch: 1}\n")
    (tmp_path / "modle.yaml").write_text("modle: {class_path: DANN}\n")
    (tmp_path / "beside.yaml").write_text("model: {class_path: DANN, trade_off: 3}\n")
    (tmp_path / "within.yaml").write_text("model: {init_args: {plus: [{class_path: MCC, temperature: 3}]}}\n")
    (tmp_path / "number.yaml").write_text("model: {class_path: DANN, init_args: 3}\n")
    (tmp_path / "trainer.yaml").write_text("trainer: 3\n")
    (tmp_path / "data.yaml").write_text("data: 3\n")
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    checkpoint = (trained / "checkpoints" / "last.ckpt").read_bytes()
    (tmp_path / "half.ckpt").write_bytes(checkpoint[: len(checkpoint) // 2])
    torch.save({"a": torch.zeros(1)}, tmp_path / "tensors.ckpt")
    torch.save({"state_dict": {}, "epoch": 0}, tmp_path / "other.ckpt")
    return trained / "checkpoints" / "last.ckpt"


@pytest.mark.slow
@pytest.mark.parametrize("case", COMMANDS)
def test_a_command_that_cannot_be(tlda: Tlda, bad: Path, case: str) -> None:
    args, words = COMMANDS[case]
    refused(tlda(*(bad if arg == CHECKPOINT else arg for arg in args)), *words)


def test_a_configuration_from_python_is_checked_as_a_file_is() -> None:
    with pytest.raises(UserError, match="the configuration has an unknown option 'protocol'; known: data, model, trainer"):
        build({"model": {"class_path": "DANN"}, "data": {"class_path": "Digits"}, "protocol": "x"})


def known_classes() -> list[type]:
    return [cls for base in {*BASES.values()} for cls in subclasses(base).values() if cls.__module__.startswith("tlda.")]


def test_every_range_is_of_an_option_and_every_default_is_in_its_range() -> None:
    makers = {vars(base)["__init__"] for cls in known_classes() for base in cls.__mro__[:-1] if "__init__" in vars(base)}
    defaults = [parameter for made in makers for parameter in inspect.signature(made).parameters.values()]
    own = {name for base in BASES.values() for name in inspect.signature(base).parameters}
    assert {parameter.name for parameter in defaults} | own >= set(RANGES)
    numbers = [p for p in defaults if p.name in RANGES and isinstance(p.default, (int, float))]
    assert [p for p in numbers if not RANGES[p.name][0](p.default)] == []


def without_target(root: Path) -> None:
    shutil.rmtree(root / "target")
    (root / "target").mkdir()


FOLDER_CASES: dict[str, tuple[str, str, Callable[[Path], object], list[str], list[str]]] = {
    "no folder": ("abc", "abc", shutil.rmtree, [], ["no folder data", "--data.root"]),
    "no such domain": ("abc", "abc", str, ["--data.source=sourc"], ["data/sourc", "did you mean 'source'?"]),
    "no such class": ("abc", "abc", str, ["--data.classes=[a,x]"], ["'source' has no class 'x'", "a, b, c"]),
    "other classes": ("abc", "abz", str, [], ["only 'source' has c and only 'target' has z", "--data.classes [a,b]"]),
    "one class": ("a", "a", str, [], ["data/source has only one class", "two"]),
    "an empty domain": ("abc", "abc", without_target, [], ["no image in data/target", "data/target/CLASS"]),
    "a damaged image": ("abc", "abc", lambda root: (root / "target/b/3.png").write_bytes(b"junk"), [], ["data/target/b/3.png"]),
    "half an image": (
        *("abc", "abc", lambda root: (root / "source/a/0.png").write_bytes((root / "source/a/0.png").read_bytes()[:300])),
        *([], ["data/source/a/0.png cannot be read", "cut short"]),
    ),
    "grey where colour comes": ("abc", "abc", str, ["--model.backbone.channels=1"], ["have 3", "--model.backbone.channels 3"]),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", FOLDER_CASES)
def test_folders_that_cannot_be(tlda: Tlda, case: str) -> None:
    source, target, spoil, options, words = FOLDER_CASES[case]
    spoil(write_folders(Path("data"), source, target))
    refused(tlda(*FOLDER_FIT, *options), *words)


def test_a_damaged_image_is_left_out_where_that_is_wanted(tlda: Tlda) -> None:
    (write_folders(Path("data")) / "target" / "b" / "3.png").write_bytes(b"junk")
    done = tlda(*FOLDER_FIT, "--data.on_error", "skip")
    assert done.code == 0
    (said,) = (line for line in done.err.splitlines() if "left out" in line)
    assert said.startswith("tlda: 1 of 18 images are left out; the first: data/target/b/3.png")


def test_a_truncated_gzip_is_named(tlda: Tlda) -> None:
    raw = Path("data/digits/MNIST/raw")
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte.gz").write_bytes(gzip.compress(bytes(range(256)) * 40)[:60])
    done = tlda(*FIT, "--data.source=mnist", "--data.root=data")
    refused(done, "data/digits/MNIST/raw/train-images-idx3-ubyte.gz cannot be read", "cut short", "get it again")


@pytest.mark.slow
def test_batches_of_one_class_train(tlda: Tlda) -> None:
    write_folders(Path("data"))
    done = tlda(*FOLDER_FIT, "--data.batch_size=1", "--data.steps=6", "--trainer.log_every_n_steps=1")
    assert done.code == 0, done.err
    (metrics,) = Path("runs").rglob("metrics.csv")
    assert "nan" not in metrics.read_text()


def test_debug_shows_where(tlda: Tlda) -> None:
    with pytest.raises(UserError, match="did you mean 'fonts'"):
        tlda(*FIT, "--data.source", "fontz", "--debug")


# Tables

TABLE = {
    "base": {"model": {"init_args": {"backbone": {"class_path": "LeNet", "init_args": {"size": 16}}}}, "data": {"class_path": "Digits"}},
    "methods": {"source_only": {"model": {"class_path": "SourceOnly"}}, "dann": {"model": {"class_path": "DANN"}}},
    "tasks": {"fh": {"data": {"init_args": {"source": "fonts", "target": "handwritten", "size": 16}}}},
    "seeds": [0, 1],
}

TABLES = {
    "an unknown entry": ({"method": {}}, [], ["t.yaml has an unknown entry 'method'", "did you mean 'methods'?"]),
    "no methods": ({"methods": None}, [], ["t.yaml", "'methods'"]),
    "methods that are a list": ({"methods": ["dann"]}, [], ["t.yaml", "'methods' must be a mapping"]),
    "seeds that are no list": ({"seeds": 3}, [], ["t.yaml", "'seeds'", "[0, 1, 2]"]),
    "a seed that is no number": ({"seeds": ["one"]}, [], ["t.yaml", "'one'", "whole number"]),
    "an unknown baseline": ({"baseline": "source"}, [], ["t.yaml", "baseline 'source'", "did you mean 'source_only'?"]),
    "a missing overlay": ({"base": "nothere.yaml"}, [], ["nothere.yaml", "No such file"]),
    "a broken overlay": ({"tasks": {"fh": "broken.yaml"}}, [], ["broken.yaml is not valid YAML in line 2"]),
    "an overlay that is none": ({"methods": {"dann": 3}}, [], ["t.yaml is not a configuration"]),
    "an unknown part of an overlay": ({"methods": {"dann": "modle.yaml"}}, [], ["modle.yaml", "'modle'", "did you mean 'model'?"]),
    "an unknown option of an overlay": ({"methods": {"d": "typo.yaml"}}, [], ["typo.yaml", "did you mean 'trainer.max_epochs'?"]),
    "an option beside its class": ({"methods": {"d": {"model": {"class_path": "DANN", "hidden": 3}}}}, [], ["'hidden' in model itself"]),
    "a trade-off below zero": ({"methods": {"d": {"model": {"class_path": "DANN", "init_args": {"trade_off": -1}}}}}, [], ["is -1.0: it"]),
    "an unknown class": ({"methods": {"d": {"model": {"class_path": "DANNN"}}}}, [], ["'DANNN' of --model", "did you mean 'DANN'?"]),
    "an unknown method": ({}, ["--methods=dan"], ["t.yaml has no method 'dan'", "did you mean 'dann'?"]),
    "an unknown task": ({}, ["--tasks=fh,hf"], ["t.yaml has no task 'hf'", "known: fh"]),
    "an unknown seed": ({}, ["--seeds=7"], ["t.yaml has no seed '7'", "0, 1"]),
    "workers that are none": ({}, ["--workers=two"], ["--workers", "two"]),
    "results below a file": ({}, ["--results=file/x"], ["file/x", "Not a directory", "--results"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_cannot_be(tlda: Tlda, bad: Path, case: str) -> None:
    changes, options, words = TABLES[case]
    Path("t.yaml").write_text(yaml.safe_dump(TABLE | changes))  # type: ignore[operator]
    refused(tlda("bench", "t.yaml", "--render", *options), *words)
    assert not Path("results").exists()
