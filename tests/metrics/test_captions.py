"""Scores of captions, against torchmetrics and a dense computation by other means."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torchmetrics.text import BLEUScore

from tlda.batch import Sample
from tlda.metrics.captions import CaptionScore, bleu, cider, exact, spoken, word_f1

FOUND = ["a red apple on a tree", "smiling face", "the dog", "a a a", "heart"]
WANTED = ["a green apple on the tree", "grinning face with big eyes", "a dog with a bone", "a b c d", "heart"]


def split(texts: list[str]) -> list[list[str]]:
    return [text.split() for text in texts]


def test_the_f1_of_words_is_that_of_precision_and_recall() -> None:
    # 4 of 6 and 6; 1 of 2 and 5; 1 of 2 and 5; 1 of 3 and 4; 1 of 1 and 1
    parts = [(4, 6, 6), (1, 2, 5), (1, 2, 5), (1, 3, 4), (1, 1, 1)]
    f1 = [2 * (h / f) * (h / w) / (h / f + h / w) for h, f, w in parts]
    assert word_f1(split(FOUND), split(WANTED)) == pytest.approx(sum(f1) / 5)
    assert word_f1([["x"], []], [["y"], ["z"]]) == 0
    assert exact(split(FOUND), split(WANTED)) == pytest.approx(0.2)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_bleu_is_that_of_torchmetrics(order: int) -> None:
    expected = BLEUScore(n_gram=order)(FOUND, [[text] for text in WANTED])
    assert bleu(split(FOUND), split(WANTED), order) == pytest.approx(expected.item(), rel=1e-6)
    assert bleu(split(WANTED), split(WANTED), order) == pytest.approx(1.0)


def test_a_longer_caption_has_no_brevity_to_be_punished_for() -> None:
    assert bleu([["a", "b", "c"]], [["a", "b"]], order=1) == pytest.approx(2 / 3)
    assert bleu([["a"]], [["a", "b"]], order=1) == pytest.approx(math.exp(-1))
    assert bleu([[]], [["a"]]) == 0


def dense_cider(found: list[list[str]], wanted: list[list[str]]) -> float:
    """CIDEr by matrices of counts, frequencies and cosines."""
    scores = []
    for n in range(1, 5):
        runs = [[" ".join(w[i : i + n]) for i in range(len(w) - n + 1)] for w in (*found, *wanted)]
        vocabulary = sorted({run for each in runs for run in each})
        if not vocabulary:
            scores.append(0.0)
            continue
        counts = np.array([[each.count(gram) for gram in vocabulary] for each in runs], dtype=np.float64)
        frequency = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        documents = (counts[len(found) :] > 0).sum(0)
        weighed = frequency * np.log(len(wanted) / np.maximum(documents, 1))
        norms = np.linalg.norm(weighed, axis=1, keepdims=True)
        unit = weighed / np.where(norms > 0, norms, 1)
        scores.append(float((unit[: len(found)] * unit[len(found) :]).sum(1).mean()))
    return 10 * sum(scores) / 4


def test_cider_is_that_of_a_dense_computation() -> None:
    assert cider(split(FOUND), split(WANTED)) == pytest.approx(dense_cider(split(FOUND), split(WANTED)), rel=1e-9)
    long = split([text for text in WANTED if len(text.split()) >= 4])
    assert cider(long, long) == pytest.approx(10)  # each has runs of four words, which no other has


def test_a_metric_keeps_batches_until_the_end() -> None:
    metric = CaptionScore(partial(bleu, order=1), lambda logits: logits.long(), end=9, length=4)
    metric.update(torch.tensor([[1, 2, 9, 9]]), Sample(torch.zeros(1), torch.tensor([[1, 3, 9, -1]]), torch.arange(1)))
    metric.update(torch.tensor([[4, 5, 6, 7]]), Sample(torch.zeros(1), torch.tensor([[4, 9]]), torch.arange(1)))
    assert metric.compute().item() == pytest.approx(bleu([[1, 2], [4, 5, 6, 7]], [[1, 3], [4]], 1))
    assert spoken([1, -1, 2], 9) == [1, 2]
