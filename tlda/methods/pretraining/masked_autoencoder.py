"""Reconstruction of what is covered."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tlda.backbones import SmallViT
from tlda.backbones.small_vit import Block
from tlda.errors import UserError
from tlda.losses import masked_pixels
from tlda.methods.pretraining.base import Pretraining


class Decoder(nn.Module):
    """A small transformer from the tokens of the patches that were seen to the pixels of all."""

    def __init__(self, backbone: SmallViT, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embed, self.covered = nn.Linear(backbone.num_features, width), nn.Parameter(0.02 * torch.randn(width))
        self.places = nn.Parameter(0.02 * torch.randn(backbone.count, width))
        self.layers = nn.Sequential(*(Block(width, heads) for _ in range(depth)), nn.LayerNorm(width), nn.Linear(width, backbone.pixels))

    def forward(self, tokens: Tensor, kept: Tensor) -> Tensor:
        seen = self.embed(tokens)
        whole = self.covered.to(seen).expand(len(seen), len(self.places), -1)
        pixels: Tensor = self.layers(whole.scatter(1, kept[:, :, None].expand_as(seen), seen) + self.places)
        return pixels


class MAE(Pretraining):
    r"""A transformer sees a quarter of an image's patches, and a smaller one predicts the others from its tokens (He et al., CVPR 2022).

    .. math:: \frac{1}{|M|} \sum_{i \in M} \Big\| \hat{x}_i - \frac{x_i - \mu_i}{\sigma_i} \Big\|^2 / \dim x_i

    It is over the covered patches, each less its own mean and divided by its own deviation.

    Its features are judged by fine-tuning, less by a probe. It takes the backbone ``SmallViT``.

    Args:
        ratio: the fraction of the patches that is covered.
        hidden: the width of the decoder.
        depth: its blocks.
        heads: those of its attention.
    """

    def __init__(self, *, ratio: float = 0.75, hidden: int = 96, depth: int = 1, heads: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.backbone, SmallViT):
            raise UserError(f"MAE covers patches of a vision transformer, and {type(self.backbone).__name__} has none: use SmallViT")
        self.vit, self.kept = self.backbone, round((1 - ratio) * self.backbone.count)
        if not 0 < self.kept < self.vit.count:
            raise UserError(
                f"--model.ratio {ratio} covers {self.vit.count - self.kept} of {self.vit.count} patches: leave some, and cover some"
            )
        self.learnt["decoder"] = Decoder(self.vit, hidden, depth, heads)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        patches = self.vit.patches((self.view(x) - self.vit.mean) / self.vit.std)
        order = torch.rand(patches.shape[:2], device=x.device).argsort(1)
        kept = order[:, : self.kept]
        masked = torch.ones_like(order, dtype=torch.bool).scatter(1, kept, False)
        return {"reconstruction": masked_pixels(self.learnt["decoder"](self.vit.tokens(patches, kept), kept), patches, masked)}
