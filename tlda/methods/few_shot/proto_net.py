"""Classes as the mean features of their examples."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from tlda.batch import Episode, Output
from tlda.losses import prototype_logits
from tlda.methods.few_shot.base import Episodic
from tlda.nn import by_batch_statistics


class ProtoNet(Episodic):
    """A query is of the class whose examples have the nearest mean, and features are learnt so that it is (Snell et al., NeurIPS 2017).

    In training BatchNorm normalises an episode by its own statistics; measured, by the running ones, unless the data are transductive.

    Args:
        train_ways: the classes of an episode of training; as many as are measured where none is given. The paper's are more.
    """

    def __init__(self, *, train_ways: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.train_ways = train_ways
        self.network.replace_head(self.last_layer())

    def last_layer(self) -> nn.Module:
        """The layer after the features in training: none, since the examples are the classes."""
        return nn.Identity()

    def answered(self, episode: Episode) -> Output:
        features, s = self.embedded(episode.x), episode.support
        return Output(features[~s], self.compared(features[~s], features[s], episode.y[s]))

    def embedded(self, x: Tensor) -> Tensor:
        """The features (n, d) of all images of an episode."""
        together = self.few.transductive and not self.training
        with by_batch_statistics(self.network) if together else nullcontext():
            return self.features(x)

    def compared(self, queries: Tensor, examples: Tensor, y: Tensor) -> Tensor:
        """The logits (q, ways) of queries (q, d) by examples (s, d) of the classes ``y`` (s,)."""
        return prototype_logits(queries, class_means(examples, y))


def class_means(features: Tensor, y: Tensor) -> Tensor:
    """The mean feature of each class of ``y`` (n,), which are numbered from 0, (c, d)."""
    sums = features.new_zeros(int(y.max()) + 1, features.shape[1]).index_add(0, y, features)
    return sums / torch.bincount(y).to(sums)[:, None]
