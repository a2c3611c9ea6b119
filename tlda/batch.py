"""What flows through the system: the typed batches, in one place.

The type of its training batch is a method's statement of what it may see. In unsupervised adaptation it is
:class:`Pair`, which has no field that could hold a target label.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

PAD = -1
"""What fills up the token ids of a text: no token."""


class Sample(NamedTuple):
    """Labelled inputs: images ``x`` (n, c, h, w), classes ``y`` (n,), rows of the data set ``row`` (n,).

    Texts are token ids ``x`` (n, l), with :data:`PAD` after their end. Where each word has a class, ``x`` is (n, l, 2), and ``y``
    and ``row`` are those of the m words: see :mod:`tlda.inputs`.
    """

    x: Tensor
    y: Tensor
    row: Tensor


class Unlabelled(NamedTuple):
    """Inputs without labels: images ``x`` (n, c, h, w) or token ids (n, l), rows of the data set ``row`` (n,)."""

    x: Tensor
    row: Tensor


class Output(NamedTuple):
    """What a network says of a batch: ``features`` (n, d) after the bottleneck, and ``logits`` (n, classes); a row an input, or a word."""

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


class LabelledBatch(NamedTuple):
    """Fine-tuning without a source: the labelled part of the target alone."""

    labelled: Sample


class OracleBatch(NamedTuple):
    """Every target label: an upper bound, never a method."""

    oracle: Sample


Batch = SourceBatch | Pair | TargetBatch | LabelledPair | LabelledBatch | OracleBatch


class Prediction(NamedTuple):
    """Of a batch: rows of the data set (n,), predicted classes (n,), their probabilities (n,)."""

    row: Tensor
    label: Tensor
    confidence: Tensor
