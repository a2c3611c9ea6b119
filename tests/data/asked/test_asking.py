"""Questions about images as data: rows, draws, new questions, and methods that run on them unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import tlda
from tests.helpers.asked import ToyAsking, tiny_net
from tests.helpers.toy import trainer
from tlda.batch import ImageTokens
from tlda.data import Cutout
from tlda.data.asked.asking import drawn
from tlda.errors import Note, UserError
from tlda.methods import CDAN, DANN, MCC, MCD, TENT, AdaBN, FixMatch, SourceOnly
from tlda.tasks import Classification


def test_a_row_is_a_question_with_its_image() -> None:
    data = ToyAsking(images=6)
    source, target = data.load()
    rows = source.train[torch.tensor([0, 6])]
    assert isinstance(rows.x, ImageTokens)
    assert (rows.x.images.shape, rows.x.images.dtype, len(source.train)) == ((2, 3, 8, 8), torch.uint8, 24)
    assert rows.x.images[1, :, 3, 3].tolist() == [0, 255, 0]  # the third question of the second image, which is green
    assert [[list(data.vocabulary.words)[n - 1] for n in row if n > 0] for row in rows.x.tokens.tolist()] == [
        ["is", "it", "red"],
        ["what", "colour"],
    ]
    assert data.task == Classification(["blue", "green", "no", "red", "yes"])
    assert [data.answers[y] for y in rows.y.tolist()] == ["yes", "green"]
    assert data.describe_row(2) == "0: what colour?"
    assert target.test is not None
    assert len(target.test) == 48


def test_some_questions_are_the_same_in_every_run() -> None:
    few, whole = ToyAsking(questions=5, measured=7, seed=1), ToyAsking(seed=1)
    source, target = few.load()
    assert (len(source.train), len(target.train), len(target.test or ())) == (5, 5, 7)
    assert ToyAsking(questions=5, measured=7, seed=2).fingerprint() == few.fingerprint() != whole.fingerprint()
    asked = whole.asked[0]["train"]
    assert set(drawn(asked, 5).names) < set(asked.names)
    assert few.describe_row(0) == drawn(few.asked[1]["test"], 7).names[0]
    with pytest.raises(UserError, match="questions is 0: it is a number of questions, 1 or more"):
        ToyAsking(questions=0)


@pytest.mark.parametrize("kind", [SourceOnly, AdaBN, DANN, CDAN, MCC, MCD, TENT])
def test_methods_run_unchanged(kind: Any) -> None:
    data = ToyAsking()
    method = kind(backbone=tiny_net(), task=data.task)
    run = trainer(1)
    run.fit(method, datamodule=data)
    (_, found) = run.test(method, datamodule=data, verbose=False)
    assert 0 <= found["test/target/accuracy"] <= 1


def test_what_needs_images_alone_says_so() -> None:
    data = ToyAsking()
    with pytest.raises(UserError, match="FixMatch trains on images, and the inputs of ToyAsking are images with texts"):
        trainer(1).fit(FixMatch(backbone=tiny_net(), task=data.task), datamodule=data)
    data = ToyAsking(augment=[Cutout()])
    with pytest.raises(UserError, match="these inputs are images with texts: leave it out"):
        trainer(1).fit(SourceOnly(backbone=tiny_net(), task=data.task), datamodule=data)


def test_the_discriminator_may_see_the_features_of_the_image_alone() -> None:
    data = ToyAsking()
    method = DANN(backbone=tiny_net(), task=data.task, first=8)
    assert method.losses["domain"].critic[0].in_features == 8  # type: ignore[union-attr, index]
    trainer(1).fit(method, datamodule=data)
    with pytest.raises(UserError, match="the first 25 features, and there are 24: ask for fewer"):
        DANN(backbone=tiny_net(), task=data.task, first=25)


def test_new_questions_are_a_table_of_images_and_words(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (255, 0, 0)).save(tmp_path / "a.png")
    (tmp_path / "q.csv").write_text("image,question\na.png,is it red?\na.png,is it mauve?\n")
    data = ToyAsking()
    with pytest.warns(Note, match="such as 'mauve': each is read as the unknown word"):
        rows, names = data.read_new(str(tmp_path / "q.csv"), data.fitted)
    sample = rows[torch.arange(2)]
    assert list(names) == ["a.png: is it red?", "a.png: is it mauve?"]
    assert isinstance(sample.x, ImageTokens)
    assert sample.x.tokens.tolist() == [[4, 5, 7], [4, 5, 0]]
    assert sample.x.images.shape == (2, 3, 8, 8)
    (tmp_path / "no.csv").write_text("image,text\na.png,is it red?\n")
    with pytest.raises(UserError, match="has no column 'question', which --inputs names"):
        data.read_new(str(tmp_path / "no.csv"), data.fitted)
    (tmp_path / "gone.csv").write_text("image,question\nb.png,is it red?\n")
    with pytest.raises(UserError, match="b\\.png cannot be read"):
        data.read_new(str(tmp_path / "gone.csv"), data.fitted)


def test_the_network_learns_to_look() -> None:
    """Half of the answers follow from the words: a network that sees them alone, the broken copy, stays there."""
    found = {}
    for sees in ("both", "question"):
        torch.manual_seed(0)
        data = ToyAsking(steps=60, seed=0)
        method = SourceOnly(backbone=tiny_net(sees=sees), task=data.task, optimizer=tlda.optim.Adam(0.02))
        run = trainer(1, limit_val_batches=0)
        run.fit(method, datamodule=data)
        found[sees] = run.test(method, datamodule=data, verbose=False)[0]["test/source/accuracy"]
    assert found["both"] > 0.9
    assert found["question"] < 0.75
