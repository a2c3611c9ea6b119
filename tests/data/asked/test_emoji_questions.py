"""Questions about emoji by templates."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from tlda.data import EmojiQuestions, Images
from tlda.data.asked.emoji_questions import a, asked_about, kind_of
from tlda.data.emoji import Concept


def concept(sub: str, number: int = 0) -> Concept:
    return Concept(f"{number:x}", f"{sub} {number}", "", "", sub)


KINDS = {"animal-bug": "animal", "cat-face": "animal", "face-hat": "face", "hands": "hand", "arrow": None, "heart": "heart"}


@pytest.mark.parametrize(("sub", "kind"), KINDS.items())
def test_a_kind_is_that_of_the_subdivision(sub: str, kind: str | None) -> None:
    assert kind_of(concept(sub)) == kind


def test_the_words_alone_say_nothing_of_yes_and_no() -> None:
    concepts = [concept(sub, number) for number, sub in enumerate(["animal-bug", "food-fruit", "arrow", "drink"] * 25)]
    asked = asked_about(Images(torch.zeros(100, 3, 1, 1, dtype=torch.uint8), torch.zeros(100)), concepts)
    counts = Counter(zip(asked.questions, asked.answers, strict=True))
    assert counts["what is this?", "animal"] == counts["is this an animal?", "yes"] == 25
    rows = zip(asked.of, asked.questions, asked.answers, strict=True)
    assert all((kind_of(concepts[n]) in q) == (said == "yes") for n, q, said in rows if said in ("yes", "no"))  # type: ignore[operator]
    wrong = [counts[f"is this {a(kind)}?", "no"] for kind in ("animal", "food", "drink")]
    assert min(wrong) > 8
    assert asked.names[0] == "animal-bug 0: what is this?"


def test_both_looks_are_asked_the_same(tmp_path: Path) -> None:
    subs = ["animal-bug", "heart"]
    entries = [{"code": f"{n:x}", "name": f"e{n}", "tags": "", "category": f"c{n % 2}", "sub": subs[n % 2]} for n in range(10)]
    (tmp_path / "emoji.json").write_text(json.dumps(entries))
    for look, colour in (("noto", "red"), ("lines", "black")):
        (tmp_path / look).mkdir()
        for entry in entries:
            Image.new("RGB", (64, 64), colour).save(tmp_path / look / f"{entry['code']}.png")
    data = EmojiQuestions("noto", "lines", str(tmp_path), size=8)
    source, target = data.asked
    assert source["test"].questions == target["test"].questions
    assert not {*source["train"].names} & {*source["test"].names}
    assert (data.answers, data.transfer) == (["animal", "heart", "no", "yes"], "noto_to_lines")
    assert source["train"].images[0, :, 0, 0].tolist() == [255, 0, 0]
