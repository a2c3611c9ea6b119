"""How far apart domains are in the features of a candidate, which is how to choose a source."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from tlda.errors import UserError
from tlda.losses.mmd import mmd
from tlda.metrics.distances import proxy_a_distance
from tlda.metrics.validators.base import LIMIT
from tlda.rank.declared import Ranking
from tlda.rank.score import make_data, probe, read_rows

Domains = dict[str, tuple[Tensor, Tensor]]
"""By domain, the features (n, d) and classes (n,)."""


def similarity(ranking: Ranking, candidate: str) -> list[dict[str, Any]]:
    """The distances of every ordered pair of the ranking's ``domains`` in the features of ``candidate``.

    Raises:
        UserError: the ranking names fewer than two domains.
    """
    if len(ranking.domains) < 2:
        raise UserError("similarity compares domains: name at least two in the ranking's 'domains', as in [amazon, webcam]")
    domains = _domains(ranking, candidate)
    distances = {frozenset(pair): _distances(*(domains[name][0] for name in pair)) for pair in itertools.combinations(domains, 2)}
    return [
        {"source": s, "target": t, **distances[frozenset((s, t))], **_transfer(domains[s], domains[t])}
        for s, t in itertools.permutations(domains, 2)
    ]


def _domains(ranking: Ranking, candidate: str) -> Domains:
    first = ranking.domains[0]
    found: Domains = {}
    for other in ranking.domains[1:]:
        data = make_data(ranking.features({"init_args": {"source": first, "target": other}}, candidate))
        for name, domain in zip((first, other), data.loaded, strict=True):
            if name not in found:
                found[name] = read_rows(data, domain.train, candidate)
    return found


def _distances(first: Tensor, second: Tensor) -> dict[str, float]:
    """Proxy A-distance and MMD; of a large domain, of rows drawn from it, always the same."""
    a, b = (rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:LIMIT]] for rows in (first, second))
    return {"a_distance": proxy_a_distance(first, second), "mmd": float(mmd(a, b))}


def _transfer(source: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]) -> dict[str, float]:
    return {"transfer": probe(source, target)} if bool((target[1] >= 0).all()) and bool((source[1] >= 0).all()) else {}
