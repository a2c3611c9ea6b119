"""Names that are checked before anything is imported."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pytorch_lightning import Trainer

import tlda.data
import tlda.methods  # noqa: F401  (imported, so that their classes are known)
from tlda.config import classes, index
from tlda.config.names import BASES, require_names
from tlda.config.overlays import read_yaml
from tlda.errors import UserError, subclasses


@pytest.mark.parametrize("kind", BASES)
def test_the_source_says_what_the_classes_say(kind: str) -> None:
    real = {name: cls for name, cls in subclasses(classes.BASES[kind]).items() if cls.__module__.startswith("tlda.")}
    found = index.subclasses(BASES[kind])
    assert found.keys() == real.keys()
    for name, source in found.items():
        assert index.options(source) == classes.options(real[name]), name
        assert index.doc(source).split("\n")[0] == (inspect.getdoc(real[name]) or "").split("\n")[0]


def test_the_trainers_options_are_lightnings() -> None:
    assert index.trainer_options().keys() == inspect.signature(Trainer.__init__).parameters.keys() - {"self"}
    assert index.trainer_options()["max_epochs"].startswith("Stop training once this number of epochs is reached")


WRONG = {
    "--trainer.max_epoch=3": "did you mean 'trainer.max_epochs'",
    "--model=DANNN": "unknown class 'DANNN' of --model; did you mean 'DANN'",
    "--model=DANN --model.trade_of=2": "DANN has no option 'trade_of'; did you mean 'trade_off'",
    "--model=DANN --model.backbone=LeNet --model.backbone.sizes=3": "LeNet has no option 'sizes'; did you mean 'size'",
    "--model.plus+=MCC --model.plus.temperatur=3": "MCC has no option 'temperatur'",
    "--data=Digits --data.init_args.sourc=mnist": "Digits has no option 'sourc'; did you mean 'source'",
    '--model={"class_path":"DANN","init_args":{"trade_of":3}}': "DANN has no option 'trade_of'",
    "--bogus": "unknown option '--bogus'",
}


@pytest.mark.parametrize("args", WRONG)
def test_a_wrong_name(args: str) -> None:
    with pytest.raises(UserError, match=WRONG[args]):
        require_names(["fit", *args.split()])


RIGHT = [
    "--model=mine.Own --model.anything=3 --model.backbone.size=3",
    "--model=DANN --model.lr_multipliers.backbone=0.1 --model.optimizer.lr=1 --trainer.callbacks+=EarlyStopping",
    "--model.help=DANN --print_config=skip_null -c",
    "--data=tlda.data.Digits --data.source=fonts --data.augment+=Cutout --data.augment.size=0.5",
]


@pytest.mark.parametrize("args", RIGHT)
def test_right_names(args: str) -> None:
    require_names(["fit", *args.split()])


FILES = {
    "trainer: &a {callbacks: *a}": "anchor within itself",
    "[" * 5000 + "]" * 5000: "nested too deeply",
    "a: &a [x]\nb: &b [" + "*a," * 400 + "]\nc: [" + "*b," * 400 + "]": "too long",
    "data: {init_args: {root: !!binary aGk=}}": "of the type bytes",
    "data: !!set {a, b}": "of the type set",
    "? [a, b]\n: 1": "line 1",
    "data: {class_path: Digits, init_args: {sourc: x}}": "Digits has no option 'sourc'",
    "ckpt_pth: x": "did you mean 'ckpt_path'",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", FILES, ids=list(FILES.values()))
def test_a_wrong_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(text)
    with pytest.raises(UserError, match=FILES[text]):
        require_names(["fit", "-c", str(tmp_path / "f.yaml")])


def test_a_date_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(yaml.safe_dump({"data": "2019-01-01"}).replace("'", ""))
    assert read_yaml(tmp_path / "f.yaml") == {"data": "2019-01-01"}


QUICK = [
    "fit --trainer.max_epoch=3",
    "fit -c nothere.yaml",
    "bench nothere.yaml",
    "list",
    "list --help",
    "fit --help",
    "bench --help",
    "report --help",
    "rank --help",
    "rank nothere.yaml",
    "data check --help",
    "data check nothere",
    "data cache --help",
    "translate --help",
    "translate nothere --out x",
    "test --ckpt_path nothere",
    "--debug",
]


@pytest.mark.slow
def test_an_answer_needs_no_torch() -> None:
    each = f"for args in {QUICK!r}: main(args.split()); assert 'torch' not in sys.modules, args"
    code = f"import sys; from tlda.cli import main\n{each}\nprint('all')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("all\n"), done.stderr
