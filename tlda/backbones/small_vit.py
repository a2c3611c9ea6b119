"""A vision transformer for small images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle, scaled_dot_product_attention

from tlda.backbones.base import Backbone, require_shape
from tlda.errors import UserError


class Block(nn.Module):
    """Attention and a hidden layer, each after a normalisation and beside what came in: tokens (n, l, width) to the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.hidden = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.qkv(self.before(tokens)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        tokens = tokens + self.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        after: Tensor = tokens + self.hidden(tokens)
        return after


class SmallViT(Backbone):
    """A small vision transformer without a class token: the features are the mean of the patches' (Dosovitskiy et al., ICLR 2021).

    Args:
        channels: 1 for grey images, 3 for colour.
        size: the height and width of the images.
        patch: the height and width of a patch, of which an image has a whole number.
        width: that of tokens and features.
        depth: the number of blocks.
        heads: those of attention.

    Raises:
        UserError: the patches do not fill the image, or the heads do not divide the width.
    """

    def __init__(self, channels: int = 3, size: int = 32, patch: int = 4, width: int = 192, depth: int = 6, heads: int = 3) -> None:
        if size % patch or width % heads:
            raise UserError(f"SmallViT cuts {size} pixels into patches of {patch}, and {width} features into {heads} heads: take divisors")
        super().__init__(width)
        self.channels, self.size, self.patch = channels, size, patch
        self.count, self.pixels = (size // patch) ** 2, channels * patch**2
        self.embed, self.places = nn.Linear(self.pixels, width), nn.Parameter(0.02 * torch.randn(self.count, width))
        self.layers = nn.Sequential(*(Block(width, heads) for _ in range(depth)), nn.LayerNorm(width))

    def patches(self, x: Tensor) -> Tensor:
        """The pixels of the patches of images (n, c, h, w), line by line, (n, ``count``, ``pixels``)."""
        require_shape(x, self, self.channels, self.size)
        return pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2)

    def tokens(self, patches: Tensor, kept: Tensor | None = None) -> Tensor:
        """The tokens (n, l, width) of normalised patches (n, ``count``, ``pixels``), or of those that are ``kept`` (n, l), by number."""
        tokens = self.embed(patches) + self.places
        if kept is not None:
            tokens = tokens.gather(1, kept[:, :, None].expand(-1, -1, tokens.shape[2]))
        found: Tensor = self.layers(tokens)
        return found

    def features(self, x: Tensor) -> Tensor:
        return self.tokens(self.patches(x)).mean(1)
