"""Predictions corrected for the class shares of the target."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Output
from tlda.method import Method
from tlda.metrics.label_shift import maximum_likelihood_shares
from tlda.training.target import start_over, target_outputs


class MLLS(Method):
    r"""Trained on the source; the target is answered as if its classes had the shares under which its predictions are likeliest.

    .. math:: p'_k \propto p_k \, q_k / s_k

    The shares ``q`` are found by expectation maximisation over all training rows of the target before its first batch of a test or
    prediction (Saerens et al., Neural Computation 2002), from those of the source, ``s``. What is corrected is a threshold: the order of
    the rows within a class stays.
    """

    setting: ClassVar[str] = "label-shift"
    reads_classes: ClassVar[bool] = True
    source_shares: Tensor
    on_test_start = on_test_end = on_predict_start = on_predict_end = start_over

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.register_buffer("source_shares", torch.ones(len(self.task.classes)) / len(self.task.classes))
        self.adapted: tuple[Tensor] | None = None  # in a tuple, which keeps it out of the checkpoint

    def on_fit_start(self) -> None:
        super().on_fit_start()
        counts = torch.ones_like(self.source_shares)  # of one more row of each class, so that none is impossible
        for rows in self.training_batches("source"):
            counts += rows.y[rows.y >= 0].bincount(minlength=len(counts))
        self.source_shares.copy_(counts / counts.sum())

    def answer(self, x: Tensor, domain: str) -> Output:
        output = super().answer(x, domain)
        if domain == "source" or self.is_fitting:
            return output
        (shift,) = self.adapted = self.adapted or (self.shift(),)
        return output._replace(logits=output.logits.float().log_softmax(1) + shift)

    def shift(self) -> Tensor:
        """What is added to the logarithm of each class's probability, (c,)."""
        _, _, logits = target_outputs(self)
        shares = maximum_likelihood_shares(logits.float().softmax(1), self.source_shares)
        return (shares / self.source_shares).log().clamp_min(-1e4).to(logits)
