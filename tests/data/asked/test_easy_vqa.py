"""Easy-VQA: its package, looks, and combinations that training never has."""

from __future__ import annotations

import pytest
import torch

from tlda.batch import ImageTokens
from tlda.data import EasyVQA
from tlda.data.asked.asking import Asked
from tlda.data.asked.easy_vqa import combinations
from tlda.errors import UserError

UNSEEN = ["red circle", "teal triangle"]


@pytest.fixture(scope="module")
def inverted() -> EasyVQA:
    pytest.importorskip("easy_vqa")
    return EasyVQA(size=4)


def test_the_package_has_what_it_has(inverted: EasyVQA) -> None:
    source, target = inverted.load()
    assert len(source.train) + len(target.train) == 38575
    assert (len(source.test or ()), len(target.test or ())) == (9673, 9673)
    assert (len(inverted.answers), len(inverted.vocabulary.words), inverted.transfer) == (13, 26, "plain_to_inverted")
    assert inverted.answers[:3] == ["black", "blue", "brown"]
    assert inverted.describe_row(0).startswith("test/0.png: ")


def test_no_image_trains_both_domains_and_the_look_is_the_only_shift(inverted: EasyVQA) -> None:
    source, target = inverted.asked
    assert not set(source["train"].of) & set(target["train"].of)
    assert source["test"].of == target["test"].of
    assert torch.equal(target["test"].images, 255 - source["test"].images)


def test_a_combination_is_in_one_domain_alone(inverted: EasyVQA) -> None:
    data = EasyVQA(target="plain", unseen=UNSEEN, size=4)
    assert data.transfer == "plain_to_plain_unseen"
    for part in ("train", "test"):
        source, target = (set(combinations(asked[part]).values()) for asked in data.asked)
        assert target == {("red", "circle"), ("teal", "triangle")}
        assert len(source) == 22
    assert {"red", "circle"} <= set(data.answers)


def test_the_words_of_an_image_tell_its_combination() -> None:
    questions = ["what color is it?", "is there not a circle?", "is there a triangle?", "is there not a triangle?"]
    asked = Asked(torch.zeros(2, 3, 1, 1), [0, 0, 1, 0], questions, ["red", "yes", "yes", "no"], [""] * 4)
    assert combinations(asked) == {0: ("red", "triangle")}


def test_noise_and_corruptions_are_looks(inverted: EasyVQA) -> None:
    noisy, bright = EasyVQA(target="noisy", size=4), EasyVQA(target="plain+brightness5", size=4)
    plain, changed = (asked["test"].images.float() for asked in noisy.asked)
    inside = (plain > 80) & (plain < 175)
    assert (changed - plain)[inside].std().item() == pytest.approx(0.3 * 255, rel=0.15)  # what is cut at 0 and 255 is less
    assert torch.equal(EasyVQA(target="noisy", size=4).asked[1]["test"].images.float(), changed)
    assert (bright.asked[1]["test"].images.float() - plain).mean() > 5
    rows = noisy.load()[1].train[torch.arange(2)].x
    assert isinstance(rows, ImageTokens)
    assert rows.images.dtype == torch.uint8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"target": "inverse"}, "there is no look 'inverse' of EasyVQA; did you mean 'inverted'"),
        ({"target": "plain"}, "both 'plain': give them two looks, or --data.unseen"),
        ({"unseen": ["mauve circle"]}, "--data.unseen has 'mauve circle': it is a colour"),
        ({"unseen": ["red"]}, "--data.unseen has 'red': it is a colour"),
        ({"target": "plain+nois5"}, "there is no corruption 'nois'"),
    ],
)
def test_errors_say_what_to_do(options: dict[str, list[str]], says: str) -> None:
    with pytest.raises(UserError, match=says):
        EasyVQA(**options)  # type: ignore[arg-type]
