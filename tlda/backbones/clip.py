"""Two towers, of images and of texts, into one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tlda.backbones.base import Backbone, require_shape
from tlda.backbones.text import load_model, load_tokenizer
from tlda.errors import UserError

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the images that CLIP's weights were trained with, per channel (its authors' ``clip.py``)."""

PROMPTS = ("a photo of a {}.",)
"""The sentences that a class's name is put into (Radford et al., ICML 2021, sec. 3.1.4)."""


class CLIP(Backbone):
    """The image tower of a CLIP of transformers: images (n, 3, h, w) to features (n, d) in the space of its texts.

    The text tower is loaded only to write a head of it, ``--model.head.text`` with the same name, and is no part of the network.

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


def class_directions(name: str, classes: Sequence[str], prompts: Sequence[str] = PROMPTS) -> tuple[Tensor, float]:
    """Write a zero-shot classifier: a direction (classes, d) of length 1 per class, and the temperature of the cosines with it.

    A direction is the mean over ``prompts`` of the directions of the sentences with the class's name in place of ``{}``, in which an
    underscore is a space (Radford et al., ICML 2021, sec. 3.1.4).

    Args:
        name: the CLIP of which this is the text tower, as :class:`CLIP` takes it.
        classes: the names of the classes.
        prompts: the sentences, with ``{}`` each.

    Raises:
        UserError: there is no such model, it is not a CLIP, or a sentence is too long for it.
    """
    model = _towers(name).eval()
    sentences = [prompt.replace("{}", each.replace("_", " ")) for each in classes for prompt in prompts]
    ids = _tokens(name, sentences, model.config.text_config.max_position_embeddings)
    with torch.no_grad():
        pooled = model.text_model(input_ids=ids.clamp_min(0), attention_mask=(ids >= 0).long()).pooler_output
        directions = normalize(model.text_projection(pooled), dim=1).view(len(classes), len(prompts), -1).mean(1)
    return normalize(directions, dim=1), 1 / float(model.logit_scale.detach().exp())


def _towers(name: str) -> Any:
    model = load_model(name)
    if not hasattr(model, "visual_projection"):
        raise UserError(f"'{name}' is a {type(model).__name__}, not a CLIP of two towers: name one that CLIPModel.save_pretrained wrote")
    return model


def _tokens(name: str, sentences: Sequence[str], limit: int) -> Tensor:
    """The token ids (n, l) of ``sentences``, -1 after the end of each."""
    tokenizer = load_tokenizer(name)
    ids = [tokenizer.encode(sentence).ids for sentence in sentences]
    for sentence, found in zip(sentences, ids, strict=True):
        if len(found) > limit:
            raise UserError(f"'{name}' takes at most {limit} tokens, and '{sentence}' has {len(found)}: shorten the prompt")
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(found) for found in ids], batch_first=True, padding_value=-1)
