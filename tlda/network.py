"""The network of a method: what a user exports, and what a loss, fine-tuning or adaptation at test time needs."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tlda.backbones import CLIP, Backbone, LanguageModel, Text
from tlda.backbones.clip import text_tower
from tlda.backbones.prompt_head import PromptHead
from tlda.backbones.text_tower import PROMPTS, tower_of
from tlda.batch import Inputs, Output
from tlda.errors import UserError
from tlda.inputs import as_maps, windowed
from tlda.nn import convolutions_in_float32, evaluating
from tlda.nn.caption_decoder import CaptionDecoder
from tlda.nn.cosine_head import CosineHead, TextHead
from tlda.nn.region_head import RegionHead
from tlda.tasks import NextToken, Segmentation, Task, Verification

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "none": nn.Identity}


OWN = "backbone"
"""The head's text where it is the backbone's own tower of texts that writes it."""

CROPS = 5
"""The dimensions of images of which there are several crops each, (n, crops, c, h, w)."""


def averaged(outputs: Sequence[Output]) -> Output:
    """The output of the crops of each image: the mean of their features, and the logarithms of their mean probabilities as logits."""
    features, logits = (torch.stack(part) for part in zip(*outputs, strict=True))
    return Output(features.mean(0), logits.float().log_softmax(-1).logsumexp(0) - math.log(len(outputs)))


@dataclass
class Bottleneck:
    """A layer between backbone and head: linear, then BatchNorm, an activation and dropout where they are asked for.

    Args:
        width: the number of its features.
        batch_norm: whether BatchNorm follows, as the common library and the authors of MDD, AFN and SHOT have it.
        dropout: the probability that a feature is dropped in training.
        activation: what follows.

    Raises:
        UserError: an option out of its range.
    """

    width: int
    batch_norm: bool = False
    dropout: float = 0.0
    activation: Literal["relu", "gelu", "tanh", "none"] = "relu"

    def __post_init__(self) -> None:
        if self.width < 1:
            raise UserError(f"--model.bottleneck.width is {self.width}: it must be 1 or more")
        if not 0 <= self.dropout < 1:
            raise UserError(f"--model.bottleneck.dropout is {self.dropout}: it must be 0 or more, and below 1")

    def build(self, num_features: int) -> nn.Sequential:
        """Make the layers, for features of width ``num_features``."""
        layers: list[nn.Module] = [nn.Linear(num_features, self.width)]
        layers += [nn.BatchNorm1d(self.width)] if self.batch_norm else []
        layers += [ACTIVATIONS[self.activation]()]
        layers += [nn.Dropout(self.dropout)] if self.dropout else []
        return nn.Sequential(*layers)


@dataclass
class Head:
    """The last layers: one that the task makes, after a hidden one where it is asked for.

    Args:
        hidden: the width of a hidden layer with ReLU before the last one; 0 for none. MDD's authors have one as wide as the features.
        layers: the number of such layers; by default one.
        arcface: the margin, in radians, by which the angle to a person's own weight must be the smaller one in training
            (:func:`tlda.nn.margins.arcface_logits`); the paper's is 0.5, at a temperature of 1/64. It is for verification.
        cosface: the margin of the cosine instead (:func:`tlda.nn.margins.cosface_logits`); the paper's is 0.35, at 1/64.
        dropout: the probability that a hidden feature is dropped in training.
        weight_norm: whether the last layer's weights are a direction and a length each, as in SHOT's networks (Liang et al., ICML 2020,
            sec. 3.4).
        temperature: makes the last layer cosines with a weight per class, over it, as :class:`tlda.nn.cosine_head.CosineHead`; it is
            0.05 with a few labels of the target (Saito et al., ICCV 2019, sec. 3.1).
        text: whose text tower writes the last layer: ``backbone`` for that of a :class:`tlda.backbones.Towers` or
            :class:`tlda.backbones.CLIP`, or the name of a CLIP. It is cosines with the directions of the classes' names, at the temperature
            of that model's training. The network answers without an example, and trains from there; the features are those of the same
            model's images, from the backbone or computed before.
        prompts: the sentences that a name is put into, with ``{}`` each; their directions are averaged. By default ``a photo of a {}.``

    Raises:
        UserError: an option out of its range.
    """

    hidden: int = 0
    dropout: float = 0.0
    weight_norm: bool = False
    temperature: float | None = None
    text: str | None = None
    prompts: Sequence[str] | None = None
    layers: int | None = None
    arcface: float | None = None
    cosface: float | None = None

    def __post_init__(self) -> None:
        self._require_margins()
        if self.hidden < 0:
            raise UserError(f"--model.head.hidden is {self.hidden}: it must be 0 or more")
        if not 0 <= self.dropout < 1:
            raise UserError(f"--model.head.dropout is {self.dropout}: it must be 0 or more, and below 1")
        if self.dropout and not self.hidden:
            raise UserError("--model.head.dropout follows a hidden layer, and there is none: set --model.head.hidden too")
        if self.layers is not None and (self.layers < 1 or not self.hidden):
            raise UserError(f"--model.head.layers is {self.layers}: it is 1 or more layers, of the width that --model.head.hidden gives")
        if self.temperature is not None and (self.temperature <= 0 or self.weight_norm):
            wrong = "has weights of one length: leave weight_norm out" if self.temperature > 0 else "must be above 0"
            raise UserError(f"--model.head.temperature is {self.temperature}, of a head of cosines, which {wrong}")
        if self.text and (self.hidden or self.weight_norm or self.temperature):
            raise UserError(
                "--model.head.text writes the last layer, with a temperature of its own: leave the other options of the head out"
            )
        if self.prompts is not None and (not self.text or not self.prompts or any("{}" not in prompt for prompt in self.prompts)):
            raise UserError(f"--model.head.prompts is {list(self.prompts)}: give sentences with {{}} each, and --model.head.text")

    def _require_margins(self) -> None:
        """Refuse margins that are out of their range, of no cosines, or two of them."""
        for name, value, most in (("arcface", self.arcface, math.pi), ("cosface", self.cosface, 2.0)):
            if value is not None and not 0 < value < most:
                raise UserError(f"--model.head.{name} is {value}: it is a margin above 0, and below {most:.4g}")
        given = [name for name, value in (("arcface", self.arcface), ("cosface", self.cosface)) if value]
        if len(given) > 1:
            raise UserError("--model.head.arcface and --model.head.cosface are two margins of one head: give one of them")
        if given and self.temperature is None:
            raise UserError(f"--model.head.{given[0]} is a margin of cosines: give --model.head.temperature too, such as 0.03")

    def build(self, num_features: int, task: Task, backbone: Backbone | None = None) -> nn.Module:
        """Make the layers, for features of width ``num_features`` of ``backbone`` and the answers of ``task``."""
        last: nn.Module = task.head(self.hidden or num_features)
        if not isinstance(last, nn.Linear):
            raise UserError(f"--model.head changes a linear layer, and {type(task).__name__} has another head: leave it out")
        if self.text:
            return self.written(TextHead(last.in_features, last.out_features), task, backbone)
        if (self.arcface or self.cosface) and not isinstance(task, Verification):
            raise UserError(
                f"--model.head.{'arcface' if self.arcface else 'cosface'} is a margin of Verification, and the data ask for "
                f"{type(task).__name__}: leave it out"
            )
        if self.temperature is not None:
            last = CosineHead(last.in_features, last.out_features, self.temperature, self.arcface or 0.0, self.cosface or 0.0)
        last = weight_norm(last) if self.weight_norm else last
        if not self.hidden:
            return last
        widths = pairwise((num_features, *[self.hidden] * (self.layers or 1)))
        hidden = [layer for before, after in widths for layer in (nn.Linear(before, after), nn.ReLU())]
        return nn.Sequential(*hidden, nn.Dropout(self.dropout), last)

    def written(self, head: TextHead, task: Task, backbone: Backbone | None) -> TextHead:
        """Write the names of the classes of ``task`` into ``head``, as the tower of texts has them now.

        Raises:
            UserError: the head is not of these classes alone, or the features are not those of this tower's images.
        """
        tower = tower_of(backbone) if self.text == OWN else text_tower(str(self.text))
        classes, (answers, width) = task.classes, head.weight.shape
        if answers != len(classes):
            raise UserError(f"--model.head.text names {len(classes)} classes, and the task has {answers} answers: leave it out")
        with torch.no_grad(), evaluating(tower):
            directions = tower.directions(classes, self.prompts or PROMPTS)
        if directions.shape[1] != width:
            raise UserError(
                f"--model.head.text {self.text} writes directions of {directions.shape[1]} numbers, and the features have {width}: "
                "take the features of the same CLIP, and no bottleneck"
            )
        head.write(directions, tower.temperature)
        return head


def require_its_images(head: Head, backbone: Backbone, bottleneck: object) -> None:
    """Raise :class:`UserError` where the head's text is not of the model of the ``backbone``, or a ``bottleneck`` is between."""
    if not head.text:
        return
    if bottleneck or (head.text != OWN and isinstance(backbone, CLIP) and backbone.name != head.text):
        of = f"a bottleneck of the features of {type(backbone).__name__}" if bottleneck else f"the CLIP '{backbone.name}'"
        raise UserError(f"--model.head.text is '{head.text}', and the features are those of {of}: take those of the same CLIP alone")


def own_layer(backbone: Backbone, task: Task, between: object) -> nn.Module | None:
    """The last layer of a language model, where the ``task`` is what it was trained for; None for any other backbone or task.

    Raises:
        UserError: the ``backbone`` sees the token that it is to predict, or there are layers ``between``.
    """
    if not isinstance(task, NextToken) or not isinstance(backbone, LanguageModel | Text):
        return None
    if isinstance(backbone, Text):
        raise UserError(
            "Text reads a text in both directions, and sees the token that it is to predict: give --model.backbone LanguageModel"
        )
    if between or backbone.pooling != "last":
        raise UserError("a language model has a last layer of its own, which reads its last token: leave bottleneck, head and pooling out")
    return backbone.output_layer()


class Network(nn.Module):
    """Backbone, bottleneck and head, as one module without Lightning: inputs to an :class:`tlda.batch.Output`.

    Args:
        backbone: the feature extractor.
        task: the task, which makes the head.
        bottleneck: a layer between them, or its width; 0 for none.
        head: the last layers; the task's own one where none is given.
    """

    def __init__(self, backbone: Backbone, task: Task, bottleneck: Bottleneck | int = 0, head: Head | None = None) -> None:
        super().__init__()
        layer = Bottleneck(bottleneck) if isinstance(bottleneck, int) and bottleneck else bottleneck or None
        self.task, self.num_features = task, layer.width if isinstance(layer, Bottleneck) else backbone.num_features
        self.backbone = backbone.to(memory_format=torch.channels_last)
        convolutions_in_float32(self.backbone)
        self.bottleneck = layer.build(backbone.num_features) if isinstance(layer, Bottleneck) else nn.Identity()
        if head:
            require_its_images(head, backbone, layer)
        own = own_layer(backbone, task, layer or head)
        self.asked, self.head = head, own or (head.build(self.num_features, task, backbone) if head else task.head(self.num_features))

    def replace_head(self, head: nn.Module) -> None:
        """Take ``head``, which a method makes itself, for the last layers.

        Raises:
            UserError: the options ask for another one.
        """
        if self.asked:
            raise UserError("--model.head makes the last layers, and this method makes its own: leave it out")
        self.head = head

    def with_labels(self, logits: Tensor, y: Tensor) -> Tensor:
        """The ``logits`` of rows with labels ``y`` as the loss of training sees them: with the head's margin, or of words taught so far."""
        last = self.head[-1] if isinstance(self.head, nn.Sequential) else self.head
        return last.with_labels(logits, y) if isinstance(last, (CosineHead, CaptionDecoder)) else logits

    def write_head(self) -> None:
        """Write a head of texts again: the backbone's own tower of texts has other weights than it was made with."""
        if self.asked and self.asked.text == OWN and isinstance(self.head, TextHead):
            self.asked.written(self.head, self.task, self.backbone)
        elif isinstance(self.head, PromptHead):
            self.head.start()

    def features(self, x: Inputs) -> Tensor:
        """The features (r, d) that the head sees of inputs."""
        features: Tensor = self.bottleneck(self.backbone(x))
        return features

    def forward(self, x: Inputs) -> Output:
        if isinstance(x, Tensor) and x.ndim == CROPS:
            return averaged([self(crop) for crop in x.unbind(1)])
        if isinstance(self.task, Segmentation) and self.task.window is not None and isinstance(x, Tensor):
            return windowed(self.whole, x, self.task.window)
        return self.whole(x)

    def whole(self, x: Inputs) -> Output:
        """The output for inputs as they are, in no windows."""
        features = self.features(x)
        if isinstance(self.head, RegionHead) and isinstance(x, Tensor):
            return Output(features, self.head(features, x, as_maps(features, x)))
        return Output(features, self.task.arrange(self.head(features), x))

    def copied(self) -> Network:
        """A copy in evaluation mode, without gradients: adapting it leaves this one as it was trained."""
        # Also under a trainer's inference mode, whose tensors no backward pass could use.
        with torch.inference_mode(False):
            return copy.deepcopy(self).eval().requires_grad_(False)
