"""How far apart two domains are, to a classifier that looks for the difference."""

from __future__ import annotations

import torch
from torch import Tensor

from tlda.errors import UserError
from tlda.metrics.validators.base import LIMIT
from tlda.nn.numerics import feature_pair


def proxy_a_distance(source: Tensor, target: Tensor, limit: int = LIMIT) -> float:
    """``2 (1 - 2 err)`` of a linear classifier of the domains on rows held out of it, 0 to 2 (Ben-David et al., NIPS 2006, sec. 4).

    0 where it does no better than chance, 2 where it never errs. The classifier is a logistic regression on features of mean 0 and
    variance 1. Equally many rows of either domain, in a shuffled order that is always the same, make two halves: each is classified
    by the classifier of the other, and ``err`` is over both.

    Args:
        source: features (n, d).
        target: features (m, d).
        limit: the most rows of a domain that are looked at.

    Raises:
        UserError: fewer than two rows of a domain, another width, or features that are not finite.
    """
    source, target = feature_pair("proxy_a_distance", source, target, least=2)
    if not bool(source.isfinite().all() and target.isfinite().all()):
        raise UserError("proxy_a_distance got features that are not finite (NaN or infinite): look at the network's weights")
    count = min(len(source), len(target), limit) // 2 * 2
    shuffled = (torch.randperm(len(f), generator=torch.Generator().manual_seed(0))[:count] for f in (source, target))
    rows = torch.stack([f[order] for f, order in zip((source, target), shuffled, strict=True)], 1)
    halves = rows[: count // 2].flatten(0, 1), rows[count // 2 :].flatten(0, 1)
    error = (_error(halves[0], halves[1]) + _error(halves[1], halves[0])) / 2
    return max(0.0, 2.0 * (1.0 - 2.0 * error))


def _error(train: Tensor, test: Tensor) -> float:
    """The rate of errors on ``test`` (n, d) of a classifier of ``train`` (n, d), in both of which the domains take turns."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    domains = (torch.arange(len(train)) % 2).numpy()
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train.numpy(), domains)
    return float((classifier.predict(test.numpy()) != domains).mean())
