"""Adaptive batch normalisation."""

from typing import Any

import torch
from torch import Tensor, nn

from tlda.method import Method
from tlda.training.target import batch_norms, copied_network, network, require_normalisation, start_over, target_batches


class AdaBN(Method):
    """Trained on the source; target images are normalised by their own BatchNorm statistics (Li et al., Pattern Recognition 2018, alg. 1).

    They are taken over all training rows of the target before its first batch of a test or prediction, in every process alike.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_normalisation(self, batch_norms(network(self)), "BatchNorm")
        self.adapted: tuple[nn.Module] | None = None  # in a tuple, which keeps it out of the checkpoint

    on_test_start = on_test_end = on_predict_start = on_predict_end = start_over

    def infer(self, x: Tensor) -> Tensor:
        (adapted,) = self.adapted = self.adapted or (self.adapt(),)
        logits: Tensor = adapted(x)
        return logits

    @torch.no_grad()
    def adapt(self) -> nn.Module:
        """A copy of the network with the statistics of the target."""
        copied = copied_network(self)
        for layer in batch_norms(copied):
            layer.reset_running_stats()
            layer.momentum = None  # a cumulative average
            layer.training = True  # by itself, so that what is random in it stays off
        for batch in target_batches(self):
            copied(batch.x)
        return copied.eval()
