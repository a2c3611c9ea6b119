"""Test-time template adjustment."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from tlda.batch import Output
from tlda.errors import UserError
from tlda.losses.entropy import entropy_of
from tlda.methods.at_test import AtTest
from tlda.network import Network


class T3A(AtTest):
    r"""The head becomes the mean directions of the features with the least entropy so far (Iwasawa and Matsuo, NeurIPS 2021).

    .. math:: o_k = g \cdot \frac{\sum_{j \in S_k} g_j}{\left\lVert \sum_{j \in S_k} g_j \right\rVert}

    The memory of each class begins with its weight in the head. The features do not change.

    Args:
        kept: how many features of each class are kept; 0 for all.
    """

    reads_classes: ClassVar[bool] = True

    def __init__(self, *, kept: int = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kept < 0:
            raise UserError(f"--model.kept is {kept}: it must be 0, for all, or more")
        if not isinstance(getattr(self.head, "weight", None), Tensor):
            raise UserError("T3A begins with the rows of the head's weight, and this head is not one layer: leave --model.head out")
        self.kept = kept

    def begin(self) -> tuple[Network, list[Tensor]]:
        copied = self.network.copied()
        head: Any = copied.head
        return copied, [head.weight.detach(), head(head.weight.detach())]

    @torch.no_grad()
    def adapt(self, x: Tensor) -> Output:
        network, memory = self.adapted
        output = network(x)
        memory[:] = (torch.cat(pair) for pair in zip(memory, (output.features, output.logits), strict=True))
        log_p = memory[1].float().log_softmax(1)
        classes, entropies = log_p.argmax(1), entropy_of(log_p)
        kept = [(classes == c).nonzero()[:, 0] for c in range(log_p.shape[1])]
        kept = [rows[entropies[rows].argsort(stable=True)[: self.kept or None]] for rows in kept]
        rows = torch.cat(kept)
        memory[:] = (part[rows] for part in memory)
        templates = one_hot(classes[rows], log_p.shape[1]).to(log_p).T @ normalize(memory[0].float(), dim=1)
        return Output(output.features, output.features.float() @ normalize(templates, dim=1).T)
