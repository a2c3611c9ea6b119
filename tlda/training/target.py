"""What source-free and test-time methods share: the target's rows, their pseudo-labels, and a copy of the network to adapt."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot, pad
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from tlda.batch import Unlabelled
from tlda.data.pair import Subset, WithoutLabels
from tlda.data.samplers import Once
from tlda.errors import UserError
from tlda.nn.numerics import full_precision

if TYPE_CHECKING:
    from tlda.method import Method


def target_batches(method: Method) -> Iterator[Unlabelled]:
    """The :func:`training_batches` of the target, without labels."""
    return training_batches(method, "target")


def training_batches(method: Method, field: str) -> Iterator[Any]:
    """Every training row of a ``field`` of the batch once, a batch at a time, as in training, but without augmentation.

    Their order is shuffled, the same each time and in every process: whatever order they are stored in, the statistics of a batch
    are to be those of the domain.

    Raises:
        UserError: the trainer was given loaders instead of a datamodule.
    """
    data: Any = method.trainer.datamodule  # type: ignore[attr-defined]
    if data is None:
        raise UserError(f"{type(method).__name__} reads all training rows of the {field}: give the trainer a DomainPair, not loaders")
    rows = data.training_rows()[field]
    for batch in data.loader(rows, Once(len(rows), data.eval_batch_size)):
        yield data.on_after_batch_transfer(data.transfer_batch_to_device(batch, method.device, 0), 0)


def numbered(data: Any) -> int:
    """How many numbers the rows of ``data`` may have: a subset keeps those of the whole."""
    return numbered(data.data) if isinstance(data, Subset | WithoutLabels) else len(data)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards each part is in its own mode again."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


def centroid_pseudo_labels(features: Tensor, logits: Tensor) -> Tensor:
    """The class of each row's nearest centroid, (n,), by cosine distance (Liang et al., ICML 2020, eq. 5-7).

    The first centroids weigh all rows by their predictions, the second those that are nearest to the first. Features have a
    one appended, as in the authors' code. A class that no row is nearest to has no second centroid.

    Args:
        features: (n, d).
        logits: (n, c).
    """
    rows, weights = normalize(pad(full_precision(features), (0, 1), value=1.0), dim=1), full_precision(logits).softmax(1)
    for _ in range(2):
        # Sums serve as centroids: the cosine does not know them from means.
        similarity = rows @ normalize(weights.T @ rows, dim=1).T
        labels = similarity.masked_fill(weights.sum(0) == 0, -math.inf).argmax(1)
        weights = one_hot(labels, logits.shape[1]).to(rows)
    return labels


def pseudo_labels_by_row(method: Method) -> Tensor:
    """:func:`centroid_pseudo_labels` of all training rows of the target, (rows,), on the method's device.

    Every process makes them all, and the first one's are used: until their next common step, the processes' running statistics
    of BatchNorm differ by a batch.
    """
    with evaluating(method), method.trainer.precision_plugin.forward_context():
        parts = [(batch.row, *method(batch.x)) for batch in target_batches(method)]
    rows, features, logits = (torch.cat(column) for column in zip(*parts, strict=True))
    labels = rows.new_full((int(rows.max()) + 1,), -1).scatter(0, rows, centroid_pseudo_labels(features, logits))
    shared: Tensor = method.trainer.strategy.broadcast(labels)
    return shared.to(method.device)


# The network and its normalisation layers


def network(method: Method) -> nn.Sequential:
    """Backbone, bottleneck and head of ``method`` as one module, images to logits."""
    return nn.Sequential(method.backbone, method.bottleneck, method.head)


def copied_network(method: Method) -> nn.Sequential:
    """A copy of :func:`network` in evaluation mode, without gradients: adapting it leaves the method as it was trained."""
    # Also under a trainer's inference mode, whose tensors no backward pass could use.
    with torch.inference_mode(False):
        return copy.deepcopy(network(method)).eval().requires_grad_(False)


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers of ``module``."""
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


def affine_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The scales and shifts of the normalisation layers of ``module``, of every kind."""
    kinds = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
    return [parameter for layer in module.modules() if isinstance(layer, kinds) for parameter in layer.parameters(recurse=False)]


def require_normalisation(method: Method, found: list[Any], kind: str) -> None:
    """Raise :class:`UserError` where nothing was ``found`` for ``method`` to adapt in layers of a ``kind``."""
    if not found:
        name, backbone = type(method).__name__, type(method.backbone).__name__
        raise UserError(f"{name} adapts {kind} layers, and {backbone} has none: set --model.backbone.batch_norm true or use another one")


def start_over(method: Any) -> None:
    """The hook that forgets what ``method`` adapted, before and after a test or a prediction."""
    method.adapted = None
