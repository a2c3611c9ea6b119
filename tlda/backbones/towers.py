"""Two towers composed of a backbone of images and an encoder of texts."""

from __future__ import annotations

import math
from typing import Literal, Self

from torch import Tensor, nn

from tlda.backbones.base import Backbone
from tlda.backbones.text import Text
from tlda.backbones.text_tower import TextTower
from tlda.errors import UserError


class Towers(Backbone):
    """A backbone of images and an encoder of texts, each with a linear map into one space: images to features (n, d) in it.

    It answers for classes by their names once :class:`tlda.methods.ImageText` has trained it, through ``--model.head.text backbone``.
    The image tower may be ``Precomputed``: the maps that it learns then fit the network that computed the features.

    Args:
        images: the tower of images.
        texts: the tower of texts, a ``Text``.
        width: the width of the space; 0 for that of the texts as they are, which then have no map of their own.
        locked: which towers stay as they are, in evaluation, whatever trains: locked-image tuning locks the ``image`` tower (Zhai et al.,
            CVPR 2022), ``both`` learns the maps alone.
        temperature: divides the cosines at the start of training, which learns it.

    Raises:
        UserError: ``texts`` is no encoder of texts, or ``images`` is one.
    """

    def __init__(
        self,
        images: Backbone,
        texts: Backbone,
        width: int = 0,
        locked: Literal["image", "both", "none"] = "both",
        temperature: float = 0.07,
    ) -> None:
        if not isinstance(texts, Text) or isinstance(images, Text):
            names = f"{type(images).__name__} for images and {type(texts).__name__} for texts"
            raise UserError(f"Towers has {names}: the second must be Text, the first not")
        if width < 0:
            raise UserError(f"width of Towers is {width}: it must be 0 or more")
        super().__init__(width or texts.num_features)
        self.images, self.locked, self.channels, self.size = images, locked, images.channels, images.size
        self.map = nn.Linear(images.num_features, self.num_features, bias=False)
        own = nn.Linear(texts.num_features, width, bias=False) if width else nn.Identity()
        self.texts = TextTower(texts.name, texts, own, texts.model.get_input_embeddings(), texts.limit, -math.log(temperature))
        self.kept = () if locked == "none" else ("images.",)
        for tower in self.frozen:
            tower.requires_grad_(False)
        self.train()

    @property
    def frozen(self) -> list[nn.Module]:
        """The towers that are locked, without their maps."""
        texts = [self.texts.encoder] if self.locked == "both" else []
        return texts if self.locked == "none" else [self.images, *texts]

    def text_tower(self) -> TextTower:
        """The tower of texts, which is a part of this."""
        return self.texts

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for tower in self.frozen:
            tower.eval()
        return self

    def blocks(self) -> list[nn.Module]:
        """Those of the images' tower, and its map."""
        return [*self.images.blocks(), self.map]

    def example(self, size: int | None = None) -> Tensor:
        return self.images.example(size)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.map(self.images(x))
        return features
