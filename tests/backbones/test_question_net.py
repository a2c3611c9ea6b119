"""A network for a question about an image: parts of its features, fusions, and mistakes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.helpers.asked import tiny_net
from tlda.backbones import QuestionNet
from tlda.backbones.question_net import FUSIONS, Attention, FiLM
from tlda.batch import PAD, ImageTokens
from tlda.errors import UserError


def some(rows: int = 4) -> ImageTokens:
    return ImageTokens(torch.rand(rows, 3, 8, 8), torch.tensor([[1, 2, 3], [4, 5, PAD], [8, PAD, PAD], [0, 1, 1]])[:rows])


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("reader", ["bag", "gru"])
def test_features_are_of_the_image_of_the_question_and_of_both(fusion: Any, reader: Any) -> None:
    net = tiny_net(fusion=fusion, reader=reader).eval()
    x, other = some(), some()
    features, changed = net(x), net(ImageTokens(x.images, other.tokens.flip(0)))
    assert features.shape == (4, net.num_features) == (4, 24)
    assert torch.equal(features[:, :8], changed[:, :8])
    assert not torch.equal(features[:, 16:], changed[:, 16:])
    looked = net(ImageTokens(other.images.flip(0), x.tokens))
    assert torch.equal(features[:, 8:16], looked[:, 8:16])
    assert not torch.equal(features[:, 16:], looked[:, 16:])
    features.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("reader", ["bag", "gru"])
def test_what_fills_a_question_up_means_nothing(reader: Any) -> None:
    net, x = tiny_net(reader=reader).eval(), some()
    longer = torch.nn.functional.pad(x.tokens, (0, 3), value=PAD)
    torch.testing.assert_close(net(x), net(ImageTokens(x.images, longer)))


@pytest.mark.parametrize(("sees", "parts"), [("both", [1, 1, 1]), ("image", [1, 0, 0]), ("question", [0, 1, 0]), ("nothing", [0, 0, 0])])
def test_what_is_not_seen_is_zero(sees: Any, parts: list[int]) -> None:
    features = tiny_net(sees=sees)(some()).view(4, 3, 8)
    assert [int(bool(part.any())) for part in features.unbind(1)] == parts


def test_film_of_a_question_that_says_nothing_is_the_convolution_alone() -> None:
    film, maps = FiLM(2, 4).eval(), torch.rand(3, 2, 5, 5)
    torch.nn.init.zeros_(film.modulation.weight)
    film.modulation.bias.data = torch.tensor([1.0, 0.0, 0.5, -0.5])  # scales of 1 + 1 and 1 + 0, then shifts
    plain = film.norm(film.convolution(maps))
    pooled = torch.stack([(2 * plain[:, 0] + 0.5).clamp_min(0).amax((1, 2)), (plain[:, 1] - 0.5).clamp_min(0).amax((1, 2))], 1)
    torch.testing.assert_close(film(maps, torch.zeros(3, 4), torch.rand(3, 4)), torch.tanh(film.last(pooled)))


def test_attention_is_the_mean_over_positions_that_the_question_weighs() -> None:
    attention, maps, question = Attention(2, 4), torch.rand(3, 2, 2, 2), torch.rand(3, 4)
    expected = []
    for row in range(3):
        scores = [(attention.query(question[row]) @ maps[row, :, i, j]) / 2**0.5 for i in range(2) for j in range(2)]
        weights = torch.stack(scores).softmax(0)
        mean = sum(w * maps[row, :, i, j] for w, (i, j) in zip(weights, [(0, 0), (0, 1), (1, 0), (1, 1)], strict=True))
        expected.append(torch.tanh(attention.value(mean)) * question[row])
    torch.testing.assert_close(attention(maps, torch.zeros(3, 4), question), torch.stack(expected))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: QuestionNet(widths=[]), "widths"),
        (lambda: tiny_net()(torch.rand(2, 3, 8, 8)), "QuestionNet takes images with questions: use --data EasyVQA"),
        (lambda: tiny_net(channels=1)(some()), "set --model.backbone.channels 3"),
        (lambda: tiny_net(words=7)(some()), "QuestionNet has 7 words, and the data have 8 or more: set --model.backbone.words"),
        (lambda: tiny_net().example(), "takes images with questions, which no export has"),
    ],
)
def test_errors_say_what_to_do(make: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        make()
