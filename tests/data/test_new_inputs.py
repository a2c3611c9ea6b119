"""Inputs alone are read as the target's are, and a checkpoint predicts them when source and target are gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import tlda as front
from tests.conftest import TINY, Tlda
from tests.helpers.folders import FOLDERS, write_folders
from tests.helpers.tiny_text import tiny_model
from tlda.backbones import LeNet
from tlda.batch import Rows
from tlda.data import Datasets, Digits, Features, Folders, Records, Relabelled, Reviews, Tabular
from tlda.data.new_inputs import alone
from tlda.errors import UserError
from tlda.tasks import Classification

TASK = Classification(["a", "b"])


def values(rows: Rows) -> torch.Tensor:
    x: torch.Tensor = rows[torch.arange(len(rows))].x
    return x


def test_a_folder_at_any_depth_is_images_alone(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "photos", "ab", ".")
    data = Folders(str(root), size=8)
    expected = values(data.loaded[1].train)
    new = tmp_path / "new"
    shutil.copytree(root / "target", new / "deep" / "deeper")
    shutil.copytree(root / "target", new / ".hidden")
    (new / "notes.txt").write_text("no image")
    shutil.rmtree(root)
    found = alone(Folders(str(root), size=8), str(new), TASK)
    found.setup("predict")
    assert torch.equal(values(found.loaded[1].train), expected)
    assert found.describe_row(5) == str(new / "deep" / "deeper" / "5.png")
    assert (len(found.predict_dataloader()), [place.role for place in found.places]) == (1, ["target"])
    assert values(Folders(str(root), size=8).read_new(str(new / "deep/deeper/3.png"), None).rows).equal(expected[3:4])
    with pytest.raises(UserError, match=f"there is no image in {tmp_path / 'none'}: give --inputs a folder"):
        Folders(str(root)).read_new(str(tmp_path / "none"), None)


def test_digits_are_read_in_grey_or_in_colour(tmp_path: Path) -> None:
    write_folders(tmp_path / "photos", "a", ".", count=2)
    for source, channels in (("fonts", 1), ("svhn", 3)):
        assert values(Digits(source, "handwritten", size=9).read_new(str(tmp_path / "photos"), None).rows).shape == (4, channels, 9, 9)


@pytest.mark.slow
def test_texts_need_no_label(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("review,stars\ngood book,pos\nbad plot,neg\n")
    (tmp_path / "new.csv").write_text("review\nbad plot\ngood book\n")
    (tmp_path / "lines.txt").write_text("bad plot\ngood book\n")
    shop = str(tmp_path / "shop.csv")
    data = Records(shop, shop, text="review", label="stars", tokenizer=tiny_model(), max_length=8)
    expected = values(data.loaded[0].train).flip(0)
    gone = Records("gone.csv", "gone.csv", text="review", label="stars", tokenizer=tiny_model(), max_length=8)
    for reader, name in ((gone, "new.csv"), (Reviews(tokenizer=tiny_model(), max_length=8), "lines.txt")):
        new = reader.read_new(str(tmp_path / name), None)
        assert values(new.rows).equal(expected)
        assert (list(new.names), new.rows.labels.tolist()) == (["0", "1"], [-1, -1])


@pytest.mark.parametrize("standardise", ["source", "each", "none"])
def test_a_table_is_encoded_as_in_training(tmp_path: Path, standardise: str) -> None:
    (tmp_path / "old.csv").write_text("age,dose,colour,label\n1,3,red,a\n3,,blue,b\n8,9,red,a\n")
    (tmp_path / "new.csv").write_text("colour,dose,age\nblue,4,\ngreen,6,5\n")
    old = str(tmp_path / "old.csv")
    data = Tabular(old, old, standardise=standardise)  # type: ignore[arg-type]
    fitted = data.fitted
    gone = Tabular("gone.csv", "gone.csv", standardise=standardise)  # type: ignore[arg-type]
    new = gone.read_new(str(tmp_path / "new.csv"), fitted)
    # By hand: the missing age is the source's median, 3, and has no column of its own, as nothing was missing in training.
    age, dose = torch.tensor([3.0, 5.0], dtype=torch.float64), torch.tensor([4.0, 6.0], dtype=torch.float64)
    learnt = torch.tensor([[1.0, 3.0, 8.0], [3.0, 6.0, 9.0]], dtype=torch.float64)
    if standardise != "none":
        means, stds = (
            (learnt.mean(1), learnt.std(1, correction=0)) if standardise == "source" else (torch.tensor([4.0, 5.0]), torch.ones(2))
        )
        age, dose = (age - means[0]) / stds[0], (dose - means[1]) / stds[1]
    expected = torch.stack([age, dose, torch.zeros(2), torch.tensor([1.0, 0.0]), torch.zeros(2)], 1)
    assert data.encoded.names == ["age", "dose", "dose is missing", "colour=blue", "colour=red"]
    torch.testing.assert_close(values(new.rows), expected.float())
    assert list(new.names) == [f"{tmp_path / 'new.csv'}:2", f"{tmp_path / 'new.csv'}:3"]


@pytest.mark.parametrize("standardise", ["source", "each", "none"])
def test_features_are_scaled_as_in_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standardise: str) -> None:
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path / "cache"))
    root = write_folders(tmp_path / "photos", "ab", ".")
    network = LeNet(channels=3, size=16, num_features=4)
    data, gone = (Features(Folders(str(place), size=16), lambda: network, standardise) for place in (root, "gone"))  # type: ignore[arg-type]
    found = gone.read_new(str(root / "target"), data.fitted)
    torch.testing.assert_close(values(found.rows), values(data.loaded[1].train), atol=1e-5, rtol=1e-4)
    assert len(found.names) == 6


def test_data_of_other_data_read_as_these(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "photos", "ab", ".")
    data = Relabelled(Folders(str(root), size=8), tasks={"all": {"x": ["a"], "y": ["b"]}})
    assert len(data.read_new(str(root / "target"), data.fitted).rows) == 6


def test_data_that_read_no_inputs_alone_say_so() -> None:
    data = Datasets([(torch.zeros(1, 2, 2), 0)], [(torch.zeros(1, 2, 2), 0)])  # type: ignore[arg-type]
    with pytest.raises(UserError, match="Datasets reads no inputs alone: leave --inputs out"):
        data.read_new("x", None)


@pytest.mark.slow
def test_a_checkpoint_predicts_a_folder_when_its_data_are_gone(tlda: Tlda) -> None:
    root = write_folders(Path("photos"), "ab", ".")
    assert tlda("fit", *FOLDERS, *TINY, "--data.root", root).code == 0
    assert tlda("predict", "--ckpt_path", "runs/latest", "--output", "known.csv").code == 0
    (root / "target").rename("new")
    shutil.rmtree(root)
    done = tlda("predict", "--ckpt_path", "runs/latest", "--inputs", "new")
    assert done.code == 0, done.err
    written, known = (Path(name).read_text() for name in ("predictions.csv", "known.csv"))
    assert written == known.replace("photos/target", "new")
    columns = front.predict("runs/latest", "new")
    assert [f"{name},{label}" for name, label in zip(columns["file"], columns["class"], strict=True)] == [
        ",".join(line.split(",")[:2]) for line in written.splitlines()[1:]
    ]
    # What is not there is one sentence, which says what to do.
    asked = tlda("predict", "--ckpt_path", "runs/latest")
    assert asked.code == 1
    assert "; new inputs need neither source nor target: name their folder or file by --inputs" in asked.err
    assert "--inputs needs --ckpt_path" in tlda("predict", *FOLDERS, "--data.root", "new", "--model.init_from", "x", "--inputs", "new").err
    with pytest.raises(UserError, match="a method in memory does not say how inputs alone are read"):
        front.predict(front.load("runs/latest"), "new")
