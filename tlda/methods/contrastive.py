"""The features of one modality are learnt to be those of another."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tlda.batch import Inputs, Output, Paired
from tlda.losses import clip
from tlda.methods.from_pairs import FromPairs
from tlda.training.checkpoint import forget


class Contrastive(FromPairs):
    r"""The halves of each pair find each other in a batch by their features, of which a frozen teacher gives one (Wav2CLIP; ICASSP 2022).

    .. math:: -\frac{1}{2n} \sum_i \left(\log \frac{\exp(u_i \cdot v_i / \tau)}{\sum_k \exp(u_i \cdot v_k / \tau)}
        + \log \frac{\exp(u_i \cdot v_i / \tau)}{\sum_k \exp(u_k \cdot v_i / \tau)}\right), \quad
        u = \mathrm{unit}(W f(b)), \; v = \mathrm{unit}(f^t(a))

    A linear map :math:`W` brings the network's features into the teacher's space. It answers by the teacher's head there, zero-shot, at the
    mean length of the teacher's features; a probe on the features before the map starts from its checkpoint, by ``--model.init_from``.

    Args:
        temperature: divides the cosines.
    """

    strict_loading = False  # its checkpoints have no head: a method that starts from one makes its own
    length: Tensor

    def __init__(self, *, temperature: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.temperature, self.map = temperature, nn.Linear(self.num_features, self.teacher.num_features)
        self.network.head.requires_grad_(False)
        self.register_buffer("length", torch.ones(()))

    @torch.no_grad()
    def read_a(self, x: Inputs) -> Tensor:
        return self.teacher.features(x)

    def read_b(self, output: Output) -> Tensor:
        mapped: Tensor = self.map(output.features)
        return mapped

    def forward(self, x: Inputs) -> Output:
        features = self.network.features(x)
        return Output(features, self.teacher.head(self.length * normalize(self.map(features), dim=1)))

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [*super().parameter_groups(), {"name": "map", "params": list(self.map.parameters()), "lr_multiplier": 1.0}]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        forget(checkpoint, "network.head.")

    def terms(self, pairs: Paired) -> dict[str, Tensor]:
        theirs = self.read_a(pairs.a)
        self.length.lerp_(theirs.float().norm(dim=1).mean(), 0.1 if self.global_step else 1.0)
        return {"contrastive": clip(self.map(self.network.features(pairs.b)), theirs, self.temperature)}
