"""A method of one's own: the domains' features get the same means. `python examples/own_method.py [EPOCHS]`.

In a file of its own it is a row of a table too, by its class path: `class_path: my_file.MeanMatching`.
"""

import sys
from typing import Any

from torch import Tensor

import tlda
from tlda.backbones import LeNet
from tlda.batch import Output
from tlda.data import Digits


class Means(tlda.Loss):
    """The squared distance of the means of the domains' features."""

    compares_domains = True

    def forward(self, batch: Any, source: Output, target: Output, progress: float) -> Tensor:
        return (source.features.mean(0) - target.features.mean(0)).square().sum()


class MeanMatching(tlda.Method):
    """The task loss, and :class:`Means` beside it."""

    def __init__(self, *, trade_off: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("means", Means(trade_off))


data = Digits(source="fonts", target="handwritten", size=16, steps=20)
epochs = int(sys.argv[1]) if sys.argv[1:] else 5
run = tlda.fit(lambda: MeanMatching(backbone=LeNet(size=16), task=data.task), data, max_epochs=epochs)
print(tlda.test(run, data))
