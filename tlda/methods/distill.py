"""The teacher's word on one modality trains another."""

from typing import Any, cast

import torch
from torch import Tensor

from tlda.batch import Inputs, Output, Paired
from tlda.losses import distillation
from tlda.methods.from_pairs import FromPairs


class Distill(FromPairs):
    r"""A frozen teacher's soft answer to one half of each pair is the label of the other (Gupta, Hoffman & Malik, CVPR 2016; SoundNet).

    .. math:: \frac{\tau^2}{n} \sum_i \mathrm{KL}\big(\sigma(z^t(a_i) / \tau) \,\|\, \sigma(z(b_i) / \tau)\big)

    Nobody has labelled ``b``: what the pairs do not carry over, it does not learn. Retrieval compares the answers to both halves.

    Args:
        temperature: divides the logits of both.
    """

    def __init__(self, *, temperature: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.temperature = temperature

    @torch.no_grad()
    def read_a(self, x: Inputs) -> Tensor:
        return cast(Tensor, self.teacher(x).logits.softmax(1))

    def read_b(self, output: Output) -> Tensor:
        return output.logits.softmax(1)

    def terms(self, pairs: Paired) -> dict[str, Tensor]:
        with torch.no_grad():
            said = self.teacher(pairs.a).logits
        return {"distillation": distillation(self(pairs.b).logits, said, self.temperature)}
