"""What flows through the system: the typed batches, in one place.

The type of its training batch is a method's statement of what it may see. In unsupervised adaptation it is
:class:`Pair`, which has no field that could hold a target label.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Sample(NamedTuple):
    """Labelled inputs: images ``x`` (n, c, h, w), classes ``y`` (n,), rows of the data set ``row`` (n,)."""

    x: Tensor
    y: Tensor
    row: Tensor


class Unlabelled(NamedTuple):
    """Inputs without labels: images ``x`` (n, c, h, w), rows of the data set ``row`` (n,)."""

    x: Tensor
    row: Tensor


class Output(NamedTuple):
    """What a network says of a batch: ``features`` (n, d) after the bottleneck, and ``logits`` (n, classes)."""

    features: Tensor
    logits: Tensor


class SourceBatch(NamedTuple):
    """Training on the source alone."""

    source: Sample


class Pair(NamedTuple):
    """Unsupervised adaptation: a labelled source and an unlabelled target."""

    source: Sample
    target: Unlabelled


class TargetBatch(NamedTuple):
    """Source-free adaptation: the unlabelled target alone."""

    target: Unlabelled


class LabelledPair(NamedTuple):
    """Supervised transfer: a labelled source and the labelled part of the target (``shots`` a class)."""

    source: Sample
    labelled: Sample


class OracleBatch(NamedTuple):
    """Every target label: an upper bound, never a method."""

    oracle: Sample


Batch = SourceBatch | Pair | TargetBatch | LabelledPair | OracleBatch
