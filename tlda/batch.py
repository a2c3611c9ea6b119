"""The typed batches, in one place.

The type of its training batch is a method's statement of what it may see. In unsupervised adaptation it is
:class:`Pair`, which has no field that could hold a target label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

PAD = -1
"""What fills up the token ids of a text: no token."""

Takes = Literal["any", "numbers", "images", "tokens"]
"""The inputs that a method can train on: any, numbers (which token ids are not), images, or the tokens of texts."""

ONE_DOMAIN = torch.tensor(0)
"""The domain of all rows where domains are not pooled; a training or evaluation batch has it spread to one number per row."""


class Sample(NamedTuple):
    """Labelled inputs: images ``x`` (n, c, h, w), labels ``y`` (n,), rows of the data set ``row`` (n,).

    Texts are token ids ``x`` (n, l), with :data:`PAD` after their end. Where each word has a class, ``x`` is (n, l, 2), and ``y``
    and ``row`` are those of the m words: see :mod:`tlda.inputs`. Which labels mean "none" is the task's to say
    (:meth:`tlda.tasks.Task.known`). ``domain`` (n,) numbers the pooled domains; zeros where there is one.
    """

    x: Tensor
    y: Tensor
    row: Tensor
    domain: Tensor = ONE_DOMAIN


class Unlabelled(NamedTuple):
    """Inputs without labels: images ``x`` (n, c, h, w) or token ids (n, l), rows of the data set ``row`` and ``domain`` (n,)."""

    x: Tensor
    row: Tensor
    domain: Tensor = ONE_DOMAIN


class Episode(NamedTuple):
    """A few-shot problem: some classes with a few labelled examples each, the support, and queries of the same classes.

    ``x`` has the support first, and the queries after it; ``y`` (n,) are classes from 0 in an order of the episode's own, ``row`` (n,) the
    rows of the data set, and ``support`` (n,) marks the examples.
    """

    x: Tensor
    y: Tensor
    row: Tensor
    support: Tensor
    domain: Tensor = ONE_DOMAIN

    @property
    def queries(self) -> Sample:
        """The queries, with their labels."""
        asked = ~self.support
        return Sample(self.x[asked], self.y[asked], self.row[asked], self.domain[asked] if self.domain.ndim else self.domain)


class Paired(NamedTuple):
    """Inputs of two modalities that belong together: ``a`` and ``b``, such as a picture and a sound, and the rows ``row`` (n,) of ``b``.

    It has no field that could hold a label.
    """

    a: Tensor
    b: Tensor
    row: Tensor


class Output(NamedTuple):
    """The network's output for a batch: ``features`` (r, d) after the bottleneck, and ``logits`` (r, …), which the task reads.

    One row per input; in tagging, one per word.
    """

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


class FewSource(NamedTuple):
    """:class:`SourceBatch` with the labelled part of the target beside it (``--model.few_labels``)."""

    source: Sample
    labelled: Sample


class FewPair(NamedTuple):
    """:class:`Pair` with the labelled part of the target beside it (``--model.few_labels``)."""

    source: Sample
    labelled: Sample
    target: Unlabelled


class LabelledBatch(NamedTuple):
    """Fine-tuning without a source: the labelled part of the target alone."""

    labelled: Sample


class OracleBatch(NamedTuple):
    """Every target label: an upper bound, never a method."""

    oracle: Sample


class EpisodeBatch(NamedTuple):
    """Few-shot learning: one problem per step."""

    episode: Episode


class PairedBatch(NamedTuple):
    """Learning from one modality to read another: pairs without labels."""

    paired: Paired


Supervised = SourceBatch | Pair | LabelledPair | LabelledBatch | OracleBatch
"""A training batch whose first domain has labels."""

Batch = Supervised | TargetBatch | EpisodeBatch
"""Any training batch of one task and one modality."""

FEW: Mapping[type, type] = {SourceBatch: FewSource, Pair: FewPair}
"""By the batch that a method learns from, the one that has a few labels of the target beside it."""

OF_TARGET = -1
"""The domain of a labelled row of the target among those of the source."""


def read_by(method: object) -> type:
    """The type of the batch that is read for ``method``, whose fields are all that it may see."""
    batch_type: type = getattr(method, "batch_type", Pair)
    return FEW.get(batch_type, batch_type) if getattr(method, "few_labels", None) else batch_type


Inputs = Tensor | tuple[Tensor, ...]
"""The inputs of a network: a tensor, or a NamedTuple of tensors."""


class ImageTokens(NamedTuple):
    """Images (n, c, h, w), each with a text: word ids ``tokens`` (n, l), with :data:`PAD` after their end."""

    images: Tensor
    tokens: Tensor


class Prediction(NamedTuple):
    """The answers for a batch: the rows of the data set ``row`` (n,), the task's columns by name, each with one value per row,
    and the features (n, d) that the head saw."""

    row: Tensor
    answers: dict[str, Sequence[object]]
    features: Tensor


class Rows(Protocol):
    """A data set that is read a batch at a time: no Python runs per sample where its rows live in memory."""

    @property
    def labels(self) -> Tensor:
        """The label of each row, (n,)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor) -> Sample: ...


@runtime_checkable
class Learner(Protocol):
    """What losses, fine-tuning and trainers' helpers may use of a method.

    ``network`` has ``backbone``, ``bottleneck`` and ``head``; ``progress`` is the fraction of the run that is done.
    """

    network: Any
    progress: float

    @property
    def current_epoch(self) -> int: ...

    @property
    def batch_type(self) -> type: ...

    @property
    def backbone(self) -> nn.Module: ...

    @property
    def trainer(self) -> Trainer: ...

    @property
    def device(self) -> torch.device: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def training_batches(self, field: str) -> Iterator[Any]: ...
