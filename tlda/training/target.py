"""What source-free and test-time methods share: the target's rows, their pseudo-labels, and a copy of the network to adapt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sized
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot, pad

from tlda.batch import Learner, Sample, Unlabelled
from tlda.data.pair import DomainPair
from tlda.data.rows import Subset, WithoutLabels
from tlda.data.samplers import Once
from tlda.errors import UserError
from tlda.losses.entropy import entropy_of
from tlda.nn import evaluating
from tlda.nn.numerics import full_precision
from tlda.training.lightning import data_of
from tlda.training.trained import Trained


def target_batches(method: Learner) -> Iterator[Unlabelled]:
    """The :func:`training_batches` of the target, without labels."""
    return training_batches(method, "target")


def training_batches(method: Learner, field: str) -> Iterator[Any]:
    """Every training row of a ``field`` of the batch once, a batch at a time, as in training, but without augmentation.

    Their order is shuffled, the same each time and in every process: whatever order they are stored in, the statistics of a batch
    are to be those of the domain.

    Raises:
        UserError: the trainer was given loaders instead of a datamodule.
    """
    data = data_of(method.trainer)
    if data is None:
        raise UserError(f"{type(method).__name__} reads all training rows of the {field}: give the trainer a DomainPair, not loaders")
    yield from _batches_of(method, data, data.training_rows()[field])


def held_out_batches(method: Learner) -> Iterator[Sample]:
    """The rows of the source that are kept for validation, in batches, as evaluation sees them.

    Raises:
        UserError: the trainer was given loaders instead of a datamodule.
    """
    data = data_of(method.trainer)
    if data is None:
        raise UserError(f"{type(method).__name__} reads the held-out rows of the source: give the trainer a DomainPair, not loaders")
    yield from _batches_of(method, data, data.evaluation_rows[0])


def _batches_of(method: Learner, data: DomainPair, rows: Any) -> Iterator[Any]:
    for batch in data.loader(rows, Once(len(rows), data.eval_batch_size)):
        yield data.as_trained(data.transfer_batch_to_device(batch, method.device, 0))


def outputs_of(network: nn.Module, batches: Iterable[Sample]) -> tuple[Tensor, Tensor, Tensor]:
    """The features (n, d) and logits (n, c) that ``network`` gives of the labelled rows of ``batches``, and their labels (n,)."""
    parts = [(*(part[b.y >= 0].float() for part in network(b.x)), b.y[b.y >= 0]) for b in batches]
    features, logits, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    return features, logits, labels


def source_images(method: Learner, rows: int) -> Iterator[Tensor]:
    """The first ``rows`` training inputs of the source, in batches, in the order of :func:`training_batches`."""
    for batch in training_batches(method, "source"):
        if rows > 0:
            yield batch.x[:rows]
            rows -= len(batch.x)


def source_risk(method: Trained) -> float:
    """The mean risk of the network of ``method``, as it is trained, on the held-out rows of the source.

    Raises:
        UserError: the trainer was given loaders instead of a datamodule.
    """
    data = data_of(method.trainer)
    if data is None:
        raise UserError(f"{type(method).__name__} watches the held-out rows of the source: give the trainer a DomainPair, not loaders")
    rows, risks = data.evaluation_rows[0], []
    with evaluating(method.network), method.trainer.precision_plugin.forward_context():
        for batch in data.loader(rows, Once(len(rows), data.eval_batch_size)):
            seen = data.as_trained(data.transfer_batch_to_device(batch, method.device, 0))
            known = method.task.known(seen.y)
            risks.append(method.task.risk(full_precision(method.network(seen.x).logits[known]), seen.y[known]))
    return float(torch.cat(risks).mean())


def numbered(data: Sized) -> int:
    """How many numbers the rows of ``data`` may have: a subset keeps those of the whole."""
    return numbered(data.data) if isinstance(data, Subset | WithoutLabels) else len(data)


def target_numbers(method: Learner) -> int:
    """How many numbers the training rows of the target of ``method`` may have, as a memory bank of them needs to know.

    Raises:
        UserError: the trainer has loaders, and no data.
    """
    data: Any = getattr(method.trainer, "datamodule", None)
    if data is None:
        raise UserError(f"{type(method).__name__} must know how many target rows there are: fit it on a DomainPair, not on loaders")
    return numbered(data.training_rows()["target"])


def centroid_pseudo_labels(features: Tensor, logits: Tensor, least: int = 0) -> Tensor:
    """The class of each row's nearest centroid, (n,), by cosine distance (Liang et al., ICML 2020, eq. 5-7).

    The first centroids weigh all rows by their predictions, the second those that are nearest to the first. Features have a
    one appended, as in the authors' code. A class that no row is nearest to has no second centroid.

    Args:
        features: (n, d).
        logits: (n, c).
        least: a class that is the likeliest of fewer rows is no row's.
    """
    rare = one_hot(logits.argmax(1), logits.shape[1]).sum(0) < least
    rows, weights = normalize(pad(full_precision(features), (0, 1), value=1.0), dim=1), full_precision(logits).softmax(1)
    for _ in range(2):
        # Sums serve as centroids: the cosine does not know them from means.
        similarity = rows @ normalize(weights.T @ rows, dim=1).T
        labels = similarity.masked_fill((weights.sum(0) == 0) | rare, -math.inf).argmax(1)
        weights = one_hot(labels, logits.shape[1]).to(rows)
    return labels


def target_outputs(method: Learner) -> tuple[Tensor, Tensor, Tensor]:
    """The numbers (n,) of all training rows of the target, their features (n, d) and logits (n, c), in evaluation."""
    with evaluating(method.network), method.trainer.precision_plugin.forward_context():
        parts = [(batch.row, *method.network(batch.x)) for batch in target_batches(method)]
    rows, features, logits = (torch.cat(column) for column in zip(*parts, strict=True))
    return rows, features, logits


def certain_rows(logits: Tensor) -> Tensor:
    """Mark the rows of logits (n, c) in the more certain of two groups, by two means of their entropies (Liang et al., ICML 2020)."""
    entropies = entropy_of(full_precision(logits).log_softmax(1))
    low, high = entropies.min(), entropies.max()
    for _ in range(100):
        certain = (entropies - low).abs() <= (entropies - high).abs()
        low, high = entropies[certain].mean(), entropies[~certain].mean() if bool((~certain).any()) else high
    return certain


def pseudo_labels_by_row(method: Learner, least: int = 0, known: bool = False) -> Tensor:
    """:func:`centroid_pseudo_labels` of all training rows of the target, (rows,), on the method's device.

    With ``known`` those of :func:`certain_rows` alone have one, and others -1.


    Every process makes them all, and the first one's are used: until their next common step, the processes' running statistics
    of BatchNorm differ by a batch.
    """
    rows, features, logits = target_outputs(method)
    taken = certain_rows(logits) if known else torch.ones_like(rows, dtype=torch.bool)
    found = centroid_pseudo_labels(features[taken], logits[taken], least)
    labels = rows.new_full((int(rows.max()) + 1,), -1).scatter(0, rows[taken], found)
    shared: Tensor = method.trainer.strategy.broadcast(labels)
    return shared.to(method.device)


def require_normalisation(method: Learner, found: list[Any], kind: str) -> None:
    """Raise :class:`UserError` where nothing was ``found`` for ``method`` to adapt in layers of a ``kind``."""
    if not found:
        name, backbone = type(method).__name__, type(method.backbone).__name__
        raise UserError(f"{name} adapts {kind} layers, and {backbone} has none: set --model.backbone.batch_norm true or use another one")


class Adapting(Protocol):
    """What keeps its adapted copy, or None before the first one."""

    adapted: Any


def start_over(method: Adapting) -> None:
    """The hook that forgets what ``method`` adapted, before and after a test or a prediction."""
    method.adapted = None
