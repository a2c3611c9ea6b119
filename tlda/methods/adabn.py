"""Adaptive batch normalisation."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Output
from tlda.method import Method
from tlda.network import Network
from tlda.nn import batch_norms
from tlda.training.target import require_normalisation, start_over, target_batches


class AdaBN(Method):
    r"""Trained on the source; target images are normalised by their own BatchNorm statistics (Li et al., Pattern Recognition 2018, alg. 1).

    .. math:: \gamma \, \frac{g - \mu_t}{\sqrt{\sigma_t^2 + \epsilon}} + \beta

    They are taken over all training rows of the target before its first batch of a test or prediction, in every process alike.
    """

    setting: ClassVar[str] = "test-time"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_normalisation(self, batch_norms(self.network), "BatchNorm")
        self.adapted: tuple[Network] | None = None  # in a tuple, which keeps it out of the checkpoint

    on_test_start = on_test_end = on_predict_start = on_predict_end = start_over

    def answer(self, x: Tensor, domain: str) -> Output:
        if domain == "source" or self.is_fitting:
            return super().answer(x, domain)
        (adapted,) = self.adapted = self.adapted or (self.adapt(),)
        output: Output = adapted(x)
        return output

    @torch.no_grad()
    def adapt(self) -> Network:
        """A copy of the network with the statistics of the target."""
        copied = self.network.copied()
        for layer in batch_norms(copied):
            layer.reset_running_stats()
            layer.momentum = None  # a cumulative average
            layer.training = True  # by itself, so that what is random in it stays off
        for batch in target_batches(self):
            copied(batch.x)
        return copied.eval()
