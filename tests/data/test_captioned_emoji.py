"""The names of emoji as captions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from torch import Tensor

from tlda.data import EmojiCaptions
from tlda.errors import UserError
from tlda.tasks import Caption


@pytest.fixture
def emoji(tmp_path: Path) -> Path:
    words = ["red", "blue", "sad", "big", "odd", "new", "old", "wet"]
    names = [*(f"{word} {'face' if number % 2 else 'heart'}" for number, word in enumerate(words)), "man in a hat"]
    entries = [{"code": f"{n:x}", "name": name, "tags": "t", "category": "c", "sub": "s"} for n, name in enumerate(names)]
    (tmp_path / "emoji.json").write_text(json.dumps(entries))
    for look in ("noto", "twemoji"):
        (tmp_path / look).mkdir()
        for entry in entries:
            Image.new("RGB", (64, 64), "red").save(tmp_path / look / f"{entry['code']}.png")
    return tmp_path


def test_the_names_of_emoji_are_captions(emoji: Path) -> None:
    data = EmojiCaptions(root=str(emoji), size=8)
    source, target = data.load()
    words, concepts = list(data.vocabulary.words), data.concepts
    labels: Tensor = source.train.labels
    said = [" ".join(words[n - 1] for n in row if 0 < n <= len(words)) for row in labels.tolist()]
    assert said == [concept.name for concept in concepts[0]]
    assert isinstance(data.task, Caption)
    assert labels.shape[1] == data.task.length == 5
    assert [row.index(len(words) + 1) for row in labels.tolist()] == [len(name.split()) for name in said]
    measured = target.test
    assert measured is not None
    unseen = {word for concept in concepts[1] for word in concept.name.split()} - set(words)
    assert bool((measured.labels == 0).any()) == bool(unseen)


def test_a_caption_longer_than_the_decoder_is_one_sentence(emoji: Path) -> None:
    with pytest.raises(UserError, match=r"the caption 'man in a hat' has 4 words, and the decoder writes 3: set --data\.length 4"):
        _ = EmojiCaptions(root=str(emoji), length=3).task
