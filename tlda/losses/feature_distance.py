"""The distance of an encoder's features from those of its pretraining, at positions of some classes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from tlda.batch import Batch, Learner, Output
from tlda.errors import UserError, near
from tlda.inputs import as_maps
from tlda.losses.base import Loss
from tlda.nn import Snapshot
from tlda.nn.numerics import full_precision


def feature_distance(maps: Tensor, start: Tensor, chosen: Tensor) -> Tensor:
    r"""The mean Euclidean distance of the features of chosen positions from those of another network (Hoyer et al., CVPR 2022, eq. 6-7).

    .. math:: \frac{\sum_j m_j \lVert F(x)_j - F^0(x)_j \rVert_2}{\sum_j m_j}

    Args:
        maps: features (n, d, h, w).
        start: those of the other network, of the same shape.
        chosen: whether each position counts, (n, h, w); where none does, the distance is 0.

    Example:
        >>> maps, start = torch.zeros(1, 2, 1, 2), torch.tensor([[[[3.0, 9.0]], [[4.0, 9.0]]]])
        >>> feature_distance(maps, start, torch.tensor([[[True, False]]])).item()
        5.0
    """
    difference = (full_precision(maps) - full_precision(start)).movedim(1, -1)[chosen]
    lengths: Tensor = difference.norm(dim=1)
    return lengths.sum() / max(1, len(lengths))


def mostly(y: Tensor, classes: Tensor, size: tuple[int, int], share: float) -> Tensor:
    """Mark the places of a map of ``size`` (h, w) where one of ``classes`` has more than ``share`` of the labels (eq. 8).

    Args:
        y: labels (n, height, width).
        classes: the numbers of the classes, (k,).
        size: the height and width of the map.
        share: the fraction, in 0..1.

    Returns:
        Marks, (n, h, w).

    Example:
        >>> mostly(torch.tensor([[[1, 1, 0, 0], [1, 0, 0, 0]]]), torch.tensor([1]), (1, 2), 0.7).tolist()
        [[[True, False]]]
    """
    planes = (y[:, None] == classes[:, None, None]).float()
    return (adaptive_avg_pool2d(planes, size) > share).any(1)


class Passes:
    """The last inputs of a network with a decoder, each with its coarsest map.

    Args:
        network: a :class:`tlda.backbones.Dense`.
        learns: whether to look at calls with gradients, or at those without.
    """

    def __init__(self, network: Any, learns: bool) -> None:
        self.learns, self.seen, self.calls = learns, torch.empty(0), deque[tuple[Tensor, Tensor]](maxlen=4)
        network.register_forward_pre_hook(self._begin)
        network.decoder.register_forward_pre_hook(self._keep)

    def __deepcopy__(self, memo: Any) -> Passes:
        copied = object.__new__(Passes)  # of a copy of the network, whose hooks are there; what was seen holds a graph
        copied.learns, copied.seen, copied.calls = self.learns, torch.empty(0), deque(maxlen=4)
        return copied

    def _begin(self, network: nn.Module, inputs: tuple[Tensor]) -> None:
        self.seen = inputs[0]

    def _keep(self, decoder: nn.Module, inputs: tuple[Sequence[Tensor]]) -> None:
        if torch.is_grad_enabled() is self.learns:
            self.calls.append((self.seen, inputs[0][-1]))

    def take(self) -> list[tuple[Tensor, Tensor]]:
        """Both of the calls since they were last taken, which are forgotten: they hold the graph of a step."""
        taken, self.seen = list(self.calls), torch.empty(0)
        self.calls.clear()
        return taken


class FeatureDistance(Loss):
    """:func:`feature_distance` of the source's features in the coarsest map of :class:`tlda.backbones.Dense`, of a frozen network.

    That network is the backbone as it was made, whatever ``init_from`` brings, and is used as in evaluation: give it pretrained weights. It
    is in the checkpoint.

    Args:
        trade_off: the weight of the term; the authors'.
        things: the names of the classes whose positions count, the authors' those of things such as cars; all where none are given.
        share: a position counts where one of them has more than this fraction of the labels around it; the authors'.
    """

    sees_target: ClassVar[bool] = False
    reads_classes: ClassVar[bool] = True
    mixed_precision: ClassVar[bool] = True

    def __init__(self, trade_off: float = 0.005, things: list[str] | None = None, share: float = 0.75) -> None:
        super().__init__(trade_off)
        self.things, self.share = things, share
        if not 0 <= share < 1:
            raise UserError(f"the loss 'feature_distance' has share {share}: it is a fraction, 0 or more and below 1")

    def attach(self, method: Learner) -> None:
        backbone: Any = method.network.backbone
        if not hasattr(backbone, "decoder"):
            raise UserError(
                f"the loss 'feature_distance' compares maps, which {type(backbone).__name__} has not: give --model.backbone Dense"
            )
        names = list(method.network.task.classes)
        for name in self.things or ():
            if name not in names:
                raise UserError(f"the loss 'feature_distance' has things '{name}', which is no class{near(name, names)}")
        self.classes = torch.tensor([number for number, name in enumerate(names) if self.things is None or name in self.things])
        self.start = Snapshot(backbone)
        self.before, self.now = Passes(self.start.copy[0], learns=False), Passes(backbone, learns=True)

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        """The distance on the source's images, of which the features are those of the step."""
        whole: Any = batch
        x, y = whole[0].x, whole[0].y
        found = next((maps for seen, maps in self.now.take() if torch.equal(seen[: len(x)], x)), None)
        if found is None:
            raise UserError("the loss 'feature_distance' needs a step in which the source's images pass as they are: leave it out")
        with torch.no_grad():
            self.start(x)
        ((_, start),) = self.before.take()
        maps = found[: len(x)]
        chosen = mostly(as_maps(y[:, None], x)[:, 0], self.classes.to(y.device), (maps.shape[2], maps.shape[3]), self.share)
        return feature_distance(maps, start, chosen)
