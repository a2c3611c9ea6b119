"""Emoji: how concepts are split, the rows of the looks, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from PIL import Image

from tests.helpers.tiny_text import tiny_model
from tlda.backbones.text import load_tokenizer
from tlda.data import Emoji, EmojiNames
from tlda.data.emoji import Concept, read_concepts
from tlda.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten emoji in two looks, whose brightness says their number and their look."""
    entries = [
        Concept(f"1f6{n:02}", f"face {n}", "a, b", ("Faces", "Food")[n % 2], ("happy", "sad", "fruit")[n % 3])._asdict() for n in range(10)
    ]
    (tmp_path / "emoji.json").write_text(json.dumps(entries))
    for start, look in ((0, "noto"), (100, "lines")):
        (tmp_path / look).mkdir()
        for n, entry in enumerate(entries):
            Image.new("RGB", (64, 64), (start + n,) * 3).save(tmp_path / look / f"{entry['code']}.png")
    return tmp_path


def test_concepts_are_split_and_a_row_is_the_same_concept_in_each_look(root: Path) -> None:
    data = Emoji("noto", "lines", str(root), size=32)
    train, measured = data.concepts
    assert (len(train), len(measured)) == (8, 2)
    assert not {*train} & {*measured}
    numbers = [int(concept.name.split()[1]) for concept in (*train, *measured)]
    for domain, start in zip(data.loaded, (0, 100), strict=True):
        rows = [split[torch.arange(len(split))] for split in domain.splits]
        x, y = (torch.cat([getattr(part, name) for part in rows]) for name in ("x", "y"))
        assert x.shape == (10, 3, 32, 32)
        assert x[:, 0, 0, 0].tolist() == [start + number for number in numbers]
        assert [data.task.classes[label] for label in y.tolist()] == [("Faces", "Food")[number % 2] for number in numbers]
    assert data.describe_row(1) == measured[1].name
    assert Emoji("lines", "noto", str(root), seed=7).concepts == data.concepts  # whatever the run


def test_subdivisions_are_classes_and_several_looks_are_pooled(root: Path) -> None:
    (root / "noto").rename(root / "twemoji")
    data = Emoji(["twemoji", "lines"], "noto", str(root), label="sub")
    assert list(data.task.classes) == ["fruit", "happy", "sad"]
    assert list(data.task.sources) == ["twemoji", "lines"]
    assert data.transfer == "twemoji+lines_to_noto"


def test_what_is_new_is_read_as_the_files_are(root: Path) -> None:
    rows, names = Emoji("noto", "lines", str(root)).read_new(str(root / "lines"), None)
    assert (len(rows), Path(names[0]).name) == (10, "1f600.png")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda root: Emoji("noto", "line"), "there is no look 'line'; did you mean 'lines'"),
        (lambda root: Emoji([], "lines"), "--data.source names no look"),
        (lambda root: Emoji("lines", "lines", str(root / "no")).task, "there is no .*emoji.json: put the emoji there"),
        (lambda root: Emoji("noto", "twemoji", str(root)).load(), r"twemoji/1f6\d\d.png cannot be read"),
    ],
)
def test_what_does_not_fit_is_a_sentence(root: Path, change: Callable[[Path], Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        change(root)


def test_a_list_with_other_entries_is_refused(tmp_path: Path) -> None:
    (tmp_path / "emoji.json").write_text('[{"code": "1f600", "name": "grinning face"}]')
    with pytest.raises(UserError, match=r"is no list of emoji, each with code, name, tags, category, sub \(KeyError: 'tags'\)"):
        read_concepts(tmp_path / "emoji.json")


def test_names_are_the_rows_of_every_look(root: Path) -> None:
    looks, model = Emoji("noto", "lines", str(root)), tiny_model()
    texts: tuple[Literal["name", "tags"], ...] = ("name", "tags")
    for text in texts:
        data = EmojiNames(text, model, str(root))
        train, measured = data.loaded[1].splits
        assert (len(train), len(measured)) == (8, 2)
        assert torch.equal(train.labels, looks.loaded[0].train.labels)
    assert data.tokenizers == [model]
    tokenizer = load_tokenizer(model)
    ids = EmojiNames("name", model, str(root)).loaded[0].splits[1][torch.tensor([1])].x[0].tolist()
    assert ids == tokenizer.encode(looks.concepts[1][1].name).ids
