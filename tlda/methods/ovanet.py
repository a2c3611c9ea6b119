"""One-versus-all network."""

from typing import Any, ClassVar, cast

import torch

from tlda.batch import Inputs, Output
from tlda.losses import OneVsAll
from tlda.method import Method
from tlda.metrics import rejection


class OVANet(Method):
    """A one-vs-all classifier per class beside the head: a row is unknown where that of its class says no (Saito and Saenko, ICCV 2021).

    Args:
        trade_off: the weight of the one-vs-all classifiers' loss.
        entropy: the weight of their entropy on the target in it.
    """

    setting: ClassVar[str] = "universal"
    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 1.0, entropy: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("one_vs_all", OneVsAll(trade_off, entropy))

    def answer(self, x: Inputs, domain: str) -> Output:
        output, loss = super().answer(x, domain), cast(OneVsAll, self.losses["one_vs_all"])
        scores = torch.cat((output.logits, *loss.scores(output.features)), 1)
        return output._replace(logits=rejection.with_unknown(output.logits, rejection.OneVsAll().margin(scores)))
