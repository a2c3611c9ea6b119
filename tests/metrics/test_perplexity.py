"""Perplexity and bits per byte of models whose values are known."""

from __future__ import annotations

import math

import pytest
import torch

from tlda.batch import Sample
from tlda.metrics.perplexity import BitsPerByte, Perplexity

UNIGRAMS = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
TEXT = torch.tensor([0, 0, 0, 0, 1, 1, 2, 3])
"""Each token as often as its probability has it, so that the cross-entropy is the entropy, 1.75 bits."""


def batches(size: int) -> list[tuple[torch.Tensor, Sample]]:
    rows = torch.arange(len(TEXT)).split(size)
    return [(UNIGRAMS.log().expand(len(row), 4) + 3.0, Sample(TEXT[row], TEXT[row], row)) for row in rows]


@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_unigram_model_has_the_perplexity_of_its_entropy_however_it_is_batched(size: int) -> None:
    perplexity, bits = Perplexity(), BitsPerByte(torch.tensor([1, 2, 3, 2, 0, 3, 1, 2]))
    for logits, batch in batches(size):
        perplexity.update(logits, batch)
        bits.update(logits, batch)
    assert float(perplexity.compute()) == pytest.approx(2**1.75, rel=1e-6)
    assert float(bits.compute()) == pytest.approx(8 * 1.75 / 14, rel=1e-6)


def test_even_odds_have_the_perplexity_of_their_number() -> None:
    perplexity = Perplexity()
    perplexity.update(torch.zeros(5, 7), Sample(torch.zeros(5), torch.arange(5), torch.arange(5)))
    assert float(perplexity.compute()) == pytest.approx(7.0)
    perplexity.update(
        torch.full((1, 7), -math.inf).index_fill(1, torch.tensor(2), 0.0), Sample(torch.zeros(1), torch.tensor([2]), torch.tensor([5]))
    )
    assert float(perplexity.compute()) == pytest.approx(7 ** (5 / 6))
