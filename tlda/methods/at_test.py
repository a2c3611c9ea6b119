"""The base class of methods that are trained on the source and adapt to the target's batches at test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Output
from tlda.errors import UserError
from tlda.inputs import copied
from tlda.method import Method
from tlda.nn import batch_norms
from tlda.training.target import start_over


class AtTest(Method, ABC):
    """The base of methods that adapt a copy of the network to the target at test, a batch at a time and each once.

    Trained on the source; a fit that starts from ``init_from``, or from a head of texts, trains nothing. Each test and process starts
    over, and a stream (``data.stream``) where it says so.
    """

    setting: ClassVar[str] = "test-time"
    own_statistics: bool = False
    """Whether a batch is normalised by its own statistics alone, of which one row has none."""
    on_test_start = on_test_end = on_predict_start = on_predict_end = start_over

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.adapted: Any = None
        self.trained = self.init_from is not None or bool(self.network.asked and self.network.asked.text)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.trained:
            self.trainer.fit_loop.max_epochs = 0

    def answer(self, x: Tensor, domain: str) -> Output:
        """The output for a batch; one of the target is adapted to."""
        if domain == "source" or self.is_fitting:
            return super().answer(x, domain)
        if self.own_statistics and len(x) < 2 and batch_norms(self.network):
            name = type(self).__name__
            raise UserError(f"{name} normalises a batch by its own statistics, and one image has none: raise --data.eval_batch_size")
        with torch.inference_mode(False), torch.enable_grad():
            self.adapted = self.adapted or self.begin()
            output = self.adapt(copied(x))  # one that inference mode did not make
        return Output(*(part.detach() for part in output))

    @abstractmethod
    def begin(self) -> tuple[Any, ...]:
        """What is adapted, as it is before the first batch: a copy of the network first; then an optimizer, a memory."""

    @abstractmethod
    def adapt(self, x: Tensor) -> Output:
        """The output for a batch of the target, to which what :meth:`begin` made is adapted."""
