"""A model of images and texts that transformers holds: two towers into one space."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tlda.backbones.base import Backbone, require_shape
from tlda.backbones.blocks import cut
from tlda.backbones.text import load_model
from tlda.backbones.text_tower import TextTower
from tlda.errors import UserError

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the images that CLIP's weights were trained with, per channel (its authors' ``clip.py``)."""


class CLIP(Backbone):
    """The image tower of a CLIP of transformers: images (n, 3, h, w) to features (n, d) in the space of its texts.

    The text tower is loaded only to write a head of it, ``--model.head.text``, and is no part of the network, unless a method learns
    prompts for it.

    Args:
        name: the path of the model's folder, ``package:NAME`` of an installed package that holds it, or its name on the hub.

    Raises:
        UserError: there is no such model, or it is not a CLIP.
    """

    def __init__(self, name: str = "openai/clip-vit-base-patch32") -> None:
        model = _towers(name)
        super().__init__(model.config.projection_dim, MEAN, STD)
        self.name, self.size = name, model.config.vision_config.image_size
        self.model, self.projection = model.vision_model.train(), model.visual_projection

    def features(self, x: Tensor) -> Tensor:
        """The projected features (n, d) of normalised images, whose lengths mean nothing: compare their directions."""
        features: Tensor = self.projection(self.model(pixel_values=x).pooler_output)
        return features

    def forward(self, x: Tensor) -> Tensor:
        require_shape(x, self, self.channels, self.size)
        return super().forward(x)

    def text_tower(self) -> TextTower:
        """The model's tower of texts, loaded anew."""
        return text_tower(self.name)

    def blocks(self) -> list[nn.Module]:
        """Those of the images' tower, and the projection."""
        return [*cut(self.model), self.projection]


class _Pooled(nn.Module):
    """The text model of a CLIP: token ids (n, l) to the features (n, w) of each text."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        pooled: Tensor = self.model(input_ids=ids.clamp_min(0), attention_mask=(ids >= 0).long()).pooler_output
        return pooled


def text_tower(name: str) -> TextTower:
    """The text tower of the CLIP ``name``, frozen and in evaluation.

    Raises:
        UserError: there is no such model, or it is not a CLIP.
    """
    model = _towers(name)
    limit = model.config.text_config.max_position_embeddings
    embedding = next(module for key, module in model.text_model.named_modules() if key.endswith("token_embedding"))
    tower = TextTower(name, _Pooled(model.text_model), model.text_projection, embedding, limit, float(model.logit_scale.detach()))
    return tower.eval().requires_grad_(False)


def _towers(name: str) -> Any:
    model = load_model(name)
    if not hasattr(model, "visual_projection"):
        raise UserError(f"'{name}' is a {type(model).__name__}, not a CLIP of two towers: name one that CLIPModel.save_pretrained wrote")
    return model
