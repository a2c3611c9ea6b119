"""The search for a likely sequence, and decoders that look back alone."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from tlda.nn.caption_decoder import CaptionDecoder, beam_search

END = 3


def chain(rows: int, seed: int = 0) -> Tensor:
    """Log-probabilities (rows, 5, 4) of the next of four words by the one before, of which the last one is that of a beginning."""
    return torch.randn(rows, 5, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(2).log_softmax(2)


def of_chain(table: Tensor) -> Any:
    return lambda tokens, row: table[row, tokens[:, -1] if tokens.shape[1] else torch.full_like(row, 4)]


def best(table: Tensor, length: int) -> tuple[tuple[int, ...], float]:
    """The most likely sequence of one row, of all that there are."""
    found = {}
    for words in itertools.product(range(4), repeat=length):
        ends = [place for place, word in enumerate(words) if word == END]
        said = words[: ends[0] + 1] if ends else words
        found[said] = sum(float(table[before, word]) for before, word in zip((4, *said), said, strict=False))
    said = max(found, key=lambda words: found[words])
    return said + (END,) * (length - len(said)), found[said]


def test_greedy_takes_the_likely_word_and_a_beam_the_likely_sequence() -> None:
    # The first word 0 is likely, and whatever follows it is not; 1 is less likely, and is surely followed by the end.
    table = torch.full((1, 5, 4), 1e-6, dtype=torch.float64)
    table[0, 4, :2] = torch.tensor([0.6, 0.4], dtype=torch.float64)
    table[0, 0, :] = 0.25
    table[0, 1, END] = 1.0
    greedy, beam = (beam_search(of_chain(table.log()), 1, 3, END, beams) for beams in (1, 2))
    assert greedy[0][0, 0] == 0
    assert beam[0].tolist() == [[1, END, END]]
    assert beam[1].exp().item() == pytest.approx(0.4, rel=1e-4)


@pytest.mark.parametrize("length", [1, 3, 4])
def test_a_wide_beam_finds_the_best_of_all_sequences(length: int) -> None:
    table = chain(6)
    tokens, scores = beam_search(of_chain(table), 6, length, END, 64)
    for row in range(6):
        words, score = best(table[row], length)
        assert tuple(tokens[row].tolist()) == words
        assert scores[row].item() == pytest.approx(score)


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_a_word_is_told_by_those_before_it_and_by_the_picture(kind: Any) -> None:
    torch.manual_seed(0)
    head = CaptionDecoder(5, words=6, length=4, kind=kind, width=8, beams=1, pictures=True).eval()
    features, y = torch.randn(2, 5), torch.tensor([[1, 2, 3, 7], [4, 5, 7, -1]])
    logits = head.with_labels(features, y)
    assert logits.shape == (2, 4, 8)
    changed = y.clone()
    changed[:, 2] = 6
    torch.testing.assert_close(head.with_labels(features, changed)[:, :3], logits[:, :3])
    assert not torch.allclose(head.with_labels(features, changed)[0, 3], logits[0, 3])
    assert not torch.allclose(head.with_labels(-features, y), logits)
    blind = CaptionDecoder(5, words=6, length=4, kind=kind, width=8, beams=1, pictures=False).eval()
    torch.testing.assert_close(blind.with_labels(-features, y), blind.with_labels(features, y))


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_what_is_written_greedily_is_what_is_likeliest_after_it(kind: Any) -> None:
    torch.manual_seed(1)
    head = CaptionDecoder(5, words=6, length=4, kind=kind, width=8, beams=1, pictures=True)
    features = 3 * torch.randn(7, 5)
    assert head(features) is features  # in training
    written = head.eval()(features)
    tokens = written[:, :-1].long()
    logits = head.with_labels(features, tokens)
    assert written.shape == (7, 5)
    assert not (tokens == 0).any()  # the unknown word is never said
    likely = logits[..., 1:].argmax(2) + 1
    before_end = (tokens == 7).cumsum(1) <= (tokens == 7).long()
    assert torch.equal(tokens[before_end], likely[before_end])
    score = logits[..., 1:].log_softmax(2).gather(2, (tokens - 1)[..., None])[..., 0].mul(before_end).sum(1)
    torch.testing.assert_close(written[:, -1], score, atol=1e-4, rtol=1e-4)
