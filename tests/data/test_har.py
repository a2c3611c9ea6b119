"""Series of people: files, normalisation, pooled people and mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.toy import trainer
from tlda.backbones import SeriesCNN
from tlda.batch import Sample
from tlda.data import HAR
from tlda.data.har import ACTIVITIES
from tlda.errors import UserError
from tlda.methods import DANN


def write_person(root: Path, name: str, seed: int = 0, **changed: Any) -> Path:
    """The file of a person of 12 + 6 windows of 2 channels and 8 samples, where ``changed`` takes the place of an array."""
    random, folder = np.random.default_rng(seed), root / "har"
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for split, n in (("train", 12), ("test", 6)):
        arrays[f"{split}_x"] = random.normal([[[3.0], [-1.0]]], [[[2.0], [0.5]]], (n, 2, 8)).astype(np.float16)
        arrays[f"{split}_y"] = (np.arange(n) % len(ACTIVITIES)).astype(np.int8)
    np.savez(path := folder / f"subject_{name}.npz", **{**arrays, **changed})
    return path


@pytest.fixture
def people(tmp_path: Path) -> Path:
    for seed, name in enumerate(("2", "11", "12")):
        write_person(tmp_path, name, seed)
    return tmp_path


def test_each_part_of_a_person_is_standardised_by_itself(people: Path) -> None:
    source, target = HAR(2, "11", root=str(people)).load()
    assert (source.name, target.name, len(source.train), len(target.train)) == ("2", "11", 12, 12)
    with np.load(people / "har/subject_11.npz") as file:
        raw = file["test_x"].astype(np.float64)
    measured = target.test
    assert measured is not None
    rows = measured[torch.arange(6)]
    expected = (raw - raw.mean((0, 2), keepdims=True)) / raw.std((0, 2), keepdims=True, ddof=1)
    torch.testing.assert_close(rows.x, torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-5)
    assert rows.y.tolist() == [0, 1, 2, 3, 4, 5]


def test_several_people_are_pooled_by_name(people: Path) -> None:
    data = HAR([2, "12"], 11, root=str(people))
    assert (data.transfer, list(data.task.sources)) == ("2+12_to_11", ["2", "12"])
    sample = data.load()[0].train[torch.arange(24)]
    assert sample.domain.tolist() == [0] * 12 + [1] * 12


def test_a_method_learns_from_series_and_measures_the_four_risks(people: Path) -> None:
    data = HAR("2", "11", root=str(people), batch_size=6)
    method = DANN(backbone=SeriesCNN(2, 8, [4]), task=data.task, hidden=4)
    run = trainer(1)
    run.fit(method, data)
    assert {"val/source/risk", "val/target/dev", "oracle/target/few_shot_risk", "oracle/target/risk"} <= run.callback_metrics.keys()
    found = run.test(method, data, verbose=False)[1]
    assert {"test/target/macro_f1", "test/target/accuracy"} <= found.keys()
    rows: Sample = data.load()[1].test[torch.arange(6)]  # type: ignore[index]
    assert found["test/target/risk"] == pytest.approx(data.task.loss(method.eval()(rows.x).logits, rows.y).item(), rel=1e-5)


def test_mistakes_are_one_sentence(people: Path) -> None:
    for name, says in (("22", "there is nobody '22' in .*; did you mean '2'"), ("x", "there is nobody 'x' in .*; known: 11, 12, 2")):
        with pytest.raises(UserError, match=says):
            HAR("2", name, root=str(people)).load()
    with pytest.raises(UserError, match=r"there are no people in .*: get UCI HAR by AdaTime's split, or give --data\.root"):
        HAR("2", "11", root=str(people / "none")).load()
    with pytest.raises(UserError, match=r"--data\.source names nobody"):
        HAR([], "11")
    with pytest.raises(UserError, match=r"'2' is in --data\.source and in --data\.target"):
        HAR(["2", "12"], "2")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"train_y": np.full(12, 6)}, "row 0 has the label 6, and its classes are 0 to 5"),
        ({"test_x": np.zeros((6, 8))}, r"its series are \(6, 8\)"),
        ({"test_x": np.full((6, 2, 8), np.nan)}, "not finite numbers"),
    ],
)
def test_a_damaged_file_is_one_sentence(people: Path, changed: dict[str, Any], says: str) -> None:
    path = write_person(people, "12", **changed)
    with pytest.raises(UserError, match=says):
        HAR("2", "12", root=str(people)).load()
    path.write_bytes(b"none")
    with pytest.raises(UserError, match=r"subject_12\.npz cannot be read"):
        HAR("2", "12", root=str(people)).load()
