"""Recall at a rank, against a loop over queries."""

from __future__ import annotations

import pytest
import torch

from tlda.metrics.retrieval import recalls


def test_it_is_what_sorting_by_cosine_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, gallery = torch.randn(20, 3, generator=generator), torch.randn(15, 3, generator=generator)
    asked, there = torch.arange(20) % 6, torch.arange(15) % 5  # of the sixth kind there is none
    found = recalls(queries, gallery, asked, there, (1, 4, 99))
    for k, name in ((1, "recall_at_1"), (4, "recall_at_4"), (99, "recall_at_99")):
        hits = 0
        for query, kind in zip(queries, asked, strict=True):
            order = torch.cosine_similarity(query[None], gallery).argsort(descending=True)
            hits += bool((there[order[:k]] == kind).any())
        assert found[name].item() == pytest.approx(hits / 20)


def test_features_that_are_all_the_same_find_nothing() -> None:
    same, rows = torch.ones(12, 4), torch.arange(12)
    assert recalls(same, same, rows, rows, (1, 11))["recall_at_11"] == 0
    assert recalls(torch.eye(12), torch.eye(12), rows, rows)["recall_at_1"] == 1
