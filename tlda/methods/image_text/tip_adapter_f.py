"""Tip-Adapter-F."""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from tlda.batch import Inputs, Output
from tlda.method import Method
from tlda.nn import evaluating
from tlda.nn.affinity import affinity, chosen_constants
from tlda.training.target import held_out_batches, outputs_of, training_batches


class TipAdapterF(Method):
    r"""The labelled rows beside the head learn, and the network stays (Tip-Adapter-F: Zhang et al., ECCV 2022, sec. 3.2).

    .. math:: z + \alpha \sum_i \exp \left( -\beta \, (1 - \cos(f, k_i)) \right) y_i

    The keys :math:`k_i` are the features of the source's training rows at first.

    Args:
        alpha: the weight of the rows in training, beside logits of 100 cosines.
        sharpness: the paper's beta in training.
        search: choose both anew after training by the accuracy on held-out rows of the source, so without a label of the target.
    """

    reads_classes: ClassVar[bool] = True
    keys: nn.Parameter
    values: Tensor

    def __init__(self, *, alpha: float = 1.0, sharpness: float = 5.5, search: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network.requires_grad_(False)
        self.alpha, self.sharpness, self.search = alpha, sharpness, search
        self.hold(torch.empty(0, self.num_features), torch.empty(0, len(self.task.outputs)))

    def hold(self, keys: Tensor, values: Tensor) -> None:
        """Take ``keys`` (m, d), which learn, and their classes as rows of 0 and 1, (m, c)."""
        self.keys = nn.Parameter(keys)
        self.register_buffer("values", values)

    @torch.no_grad()
    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            with evaluating(self.network):
                features, _, labels = outputs_of(self.network, training_batches(self, "source"))
            # Of length 1, as the angles see them, so that a step of Adam is as long for every backbone.
            self.hold(normalize(features, dim=1), one_hot(labels, len(self.task.outputs)).float())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.hold(*(torch.empty_like(checkpoint["state_dict"][name], device=self.device) for name in ("keys", "values")))
        super().on_load_checkpoint(checkpoint)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.network.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [*super().parameter_groups(), {"name": "keys", "params": [self.keys], "lr_multiplier": 1.0}]

    def forward(self, x: Inputs) -> Output:
        output = super().forward(x)
        return output._replace(
            logits=output.logits + self.alpha * affinity(output.features.float(), self.keys, self.sharpness) @ self.values
        )

    @torch.no_grad()
    def on_test_start(self) -> None:
        """Choose the two constants, where they are searched for."""
        if self.search:
            found = outputs_of(self.network, held_out_batches(self))
            scale = 1 / float(getattr(self.network.head, "temperature", 1.0))
            self.alpha, self.sharpness = chosen_constants(*found, self.keys, self.values, scale)

    on_predict_start = on_test_start
