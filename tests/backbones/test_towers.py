"""Two towers that are composed: what they compute, what of them trains, and the head that they write."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from tests.helpers.tiny_text import tiny_model
from tests.helpers.toy import Tiny
from tlda.backbones import Precomputed, Text, Towers
from tlda.backbones.prompt_head import PromptHead
from tlda.errors import UserError
from tlda.network import Head, Network
from tlda.nn.cosine_head import TextHead
from tlda.tasks import Classification

CLASSES = ["good_book", "film"]
PROMPTS = ["a {} .", "the {} was fine"]
X = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def towers(**options: Any) -> Towers:
    torch.manual_seed(0)
    return Towers(Tiny(), Text(tiny_model()), **options)


@torch.no_grad()
@pytest.mark.parametrize("width", [0, 6])
def test_logits_are_cosines_of_both_towers_by_hand(width: int) -> None:
    made = towers(width=width, temperature=0.1)
    network = Network(made, Classification(CLASSES), head=Head(text="backbone", prompts=PROMPTS)).eval()
    encoder, directions = Text(tiny_model()).eval(), []
    for name in ("good book", "film"):
        each = [encoder(made.texts.tokens([prompt.replace("{}", name)])) for prompt in PROMPTS]
        directions.append(torch.cat([normalize(made.texts.projection(text), dim=1) for text in each]).mean(0))
    images = made.images.eval()(X) @ made.map.weight.T
    expected = normalize(images, dim=1) @ normalize(torch.stack(directions), dim=1).T / 0.1
    torch.testing.assert_close(network(X).logits, expected, atol=1e-4, rtol=1e-4)
    prompted = PromptHead(made.texts, made.modules(), CLASSES, PROMPTS).eval()
    torch.testing.assert_close(prompted(made(X)), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("locked", "parts"), [("both", set()), ("image", {"texts.encoder"}), ("none", {"images", "texts.encoder"})])
def test_what_is_locked_neither_trains_nor_leaves_evaluation(locked: Any, parts: set[str]) -> None:
    made = towers(locked=locked).train()
    trains = {name for name, parameter in made.named_parameters() if parameter.requires_grad}
    assert {name for name in trains if not name.startswith(tuple(parts))} == {"map.weight", "texts.log_scale"}
    assert made.images.training is ("images" in parts)
    assert made.texts.encoder.training is ("texts.encoder" in parts)
    assert all(any(name.startswith(part) for name in trains) for part in parts)


@torch.no_grad()
def test_a_context_of_the_words_own_vectors_is_the_sentence_and_another_is_not() -> None:
    made = towers().eval()
    fixed = PromptHead(made.texts, made.modules(), CLASSES, ["the book {}."]).eval()
    learnt = PromptHead(made.texts, made.modules(), CLASSES, ["the book {}."], "the book").eval()
    assert learnt.context is not None
    assert learnt.context.shape == (2, 16)
    torch.testing.assert_close(learnt(made(X)), fixed(made(X)))
    learnt.train()
    learnt.context[1] += torch.randn(16)
    assert not torch.allclose(learnt.eval()(made(X)), fixed(made(X)), atol=1e-3)


def test_a_head_follows_the_tower_and_its_temperature_is_in_the_checkpoint() -> None:
    made = towers()
    network = Network(made, Classification(CLASSES), head=Head(text="backbone")).eval()
    prompted = PromptHead(made.texts, made.modules(), CLASSES).eval()
    before, live = network(X).logits, prompted(made.eval()(X))
    made.texts.log_scale.data += 1.0
    network.write_head()
    torch.testing.assert_close(network(X).logits, before * torch.e)
    torch.testing.assert_close(prompted(made(X)), live * torch.e)
    assert isinstance(network.head, TextHead)
    assert "head.temperature" in network.state_dict()
    copied = network.copied()
    assert torch.equal(copied(X).logits, network(X).logits)


def test_what_does_not_compose_is_refused() -> None:
    with pytest.raises(UserError, match="the second must be Text"):
        Towers(Text(tiny_model()), Tiny())
    with pytest.raises(UserError, match="Tiny has no tower of texts"):
        Network(Tiny(), Classification(CLASSES), head=Head(text="backbone"))
    with pytest.raises(UserError, match="takes at most 64 tokens"):
        towers().texts.tokens(["a " * 80])
    with pytest.raises(UserError, match="width of Towers is -1"):
        towers(width=-1)
    assert Towers(Precomputed(7), Text(tiny_model()))(torch.rand(2, 7)).shape == (2, 16)
