"""The rules by which a row is rejected as of an unknown class: small classes that give a margin, positive where it is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


class Rejection(ABC):
    """The base of rules that reject rows by their logits (r, k) of known classes."""

    @abstractmethod
    def margin(self, logits: Tensor) -> Tensor:
        """How far each row is beyond the threshold, (r,): positive where it is rejected. The larger, the more it is unknown."""


@dataclass
class Entropy(Rejection):
    """Reject where the entropy of the prediction, in nats, is above ``threshold``; by default log(k) / 2 (DANCE: Saito et al., 2020)."""

    threshold: float | None = None

    def margin(self, logits: Tensor) -> Tensor:
        log_p = logits.log_softmax(1)
        return -(log_p.exp() * log_p).sum(1) - (math.log(logits.shape[1]) / 2 if self.threshold is None else self.threshold)


@dataclass
class Confidence(Rejection):
    """Reject where the greatest probability is below ``threshold``."""

    threshold: float = 0.5

    def margin(self, logits: Tensor) -> Tensor:
        return self.threshold - logits.softmax(1).amax(1)


class ExtraClass(Rejection):
    """Reject where the last of k + 1 logits is the greatest: the unknown class of its own (OSBP: Saito et al., ECCV 2018)."""

    def margin(self, logits: Tensor) -> Tensor:
        return margin_of(logits)


class OneVsAll(Rejection):
    """Reject where the one-vs-all classifier of the predicted class says no (OVANet: Saito and Saenko, ICCV 2021, eq. 5).

    The logits (r, 3 k) are those of the k classes, then those of "no" and of "yes" of each.
    """

    def margin(self, logits: Tensor) -> Tensor:
        closed, no, yes = logits.chunk(3, 1)
        return (no - yes).gather(1, closed.argmax(1, keepdim=True)).squeeze(1)


REJECTIONS: Mapping[str, Rejection] = {"entropy": Entropy(), "confidence": Confidence()}
"""The rules for methods that have none of their own, by name."""


def margin_of(logits: Tensor) -> Tensor:
    """How far the last of k + 1 logits is above the others, (r,)."""
    return logits[:, -1] - logits[:, :-1].amax(1)


def with_unknown(logits: Tensor, margin: Tensor) -> Tensor:
    """Logits (r, k + 1): those of known classes (r, k), and a last one that is ``margin`` (r,) above the greatest of them."""
    return torch.cat((logits, (logits.amax(1) + margin)[:, None]), 1)
