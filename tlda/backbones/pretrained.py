"""Networks of timm and torchvision, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from tlda.backbones.base import Backbone, require_shape
from tlda.backbones.weights import SUFFIXES, load_file, weights_file
from tlda.errors import UserError, near

AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""The classifiers beside the last one that torchvision's GoogLeNet and Inception v3 are trained with."""

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's images, which torchvision's weights were trained with."""


class _Reached(Exception):
    """Raised when the layer that was asked for has its output, so that later layers are not computed."""

    def __init__(self, output: Tensor) -> None:
        self.output = output


class Pretrained(Backbone):
    """The base of pretrained networks of other libraries.

    Args:
        model: the network, without its classifier.
        num_features: the width of its output.
        channels: the input's channels; a network for three also takes grey images, which are repeated in each channel.
        size: the height and width of the images that it was trained at.
        fixed_size: whether it takes images of that size only.
        layer: the name of the module whose output are the features; by default the input of the classifier.
        mean: the input's mean per channel, or one for all.
        std: the input's standard deviation per channel, or one for all.
    """

    def __init__(
        self,
        model: nn.Module,
        num_features: int,
        channels: int,
        size: int,
        fixed_size: bool,
        layer: str | None,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__(num_features, mean, std)
        self.model, self.channels, self.layer = model, channels, layer
        self.size, self.fixed_size = size, fixed_size
        # Swin and its like have the channels last.
        self.places = (1, 2) if getattr(model, "output_fmt", None) == "NHWC" else (2, 3)
        if layer is not None:
            self.num_features = self._cut(self._find(layer))

    def _cut(self, layer: nn.Module) -> int:
        """Stop at ``layer``, empty the modules that come after it, and return its width."""
        begun: set[nn.Module] = set()
        done: set[nn.Module] = set()
        watching = [
            watch
            for module in self.model.modules()
            for watch in (
                module.register_forward_pre_hook(lambda module, _: begun.add(module)),
                module.register_forward_hook(lambda module, *_: done.add(module)),
            )
        ]
        layer.register_forward_hook(_stop)
        training = self.training
        with torch.no_grad():
            width = int(self.eval()(torch.zeros(1, self.channels, self.size, self.size)).shape[1])
        self.train(training)
        for watch in watching:
            watch.remove()
        _empty(self.model, begun, done)
        return width

    def _find(self, layer: str) -> nn.Module:
        names: dict[str, nn.Module] = dict(self.model.named_modules())
        if layer not in names or not layer:
            raise UserError(f"the network has no layer '{layer}'{few_near(layer, [name for name in names if name])}")
        return names[layer]

    def forward(self, x: Tensor) -> Tensor:
        grey_for_colour = x.ndim == 4 and x.shape[1] == 1 and len(self.mean) == 3
        # Before the normalisation, which fails on other channels than the means have.
        require_shape(x, self, 1 if grey_for_colour else self.channels, self.size if self.fixed_size else None)
        return super().forward(x)

    def features(self, x: Tensor) -> Tensor:
        try:
            return self._pooled(self.model(x))
        except _Reached as reached:
            return self._pooled(reached.output)

    def _pooled(self, features: Tensor) -> Tensor:
        """The means of maps (n, d, h, w) over their positions, of tokens (n, tokens, d) over the tokens."""
        if features.ndim not in (2, 3, 4):
            raise UserError(f"layer '{self.layer}' gives {tuple(features.shape)}, not (n, d), (n, tokens, d) or (n, d, h, w); take another")
        return features.mean(self.places) if features.ndim == 4 else features.mean(1) if features.ndim == 3 else features


def _empty(module: nn.Module, begun: set[nn.Module], done: set[nn.Module]) -> None:
    """Replace layers that are never computed. They would get no gradient, for which several processes would wait."""
    for name, child in list(module.named_children()):
        if child not in done:
            if begun & set(child.modules()):
                _empty(child, begun, done)
            else:
                setattr(module, name, nn.Identity())


def _stop(module: nn.Module, inputs: Any, output: Any) -> None:
    if not isinstance(output, Tensor):
        raise UserError(f"the layer gives a {type(output).__name__}, not a tensor; take one inside it, or after it")
    raise _Reached(output)


class Timm(Pretrained):
    """Any network of timm by name, without its classifier. It normalises its input as its weights were trained.

    Args:
        name: the network's name, as ``timm.list_models()`` gives it.
        weights: ``pretrained`` for those that timm publishes (from its hub, or its cache), the path of a state_dict
            (``.pth``, ``.safetensors``), ``package:NAME`` for the file in an installed package, or null for random ones.
        channels: the input's channels.
        layer: the name of the module whose output are the features, pooled, such as ``blocks.4``; by default the last.

    Raises:
        UserError: an unknown network or layer; weights that cannot be loaded, or are another network's.
    """

    def __init__(self, name: str = "resnet18", weights: str | None = "pretrained", channels: int = 3, layer: str | None = None) -> None:
        import timm

        if not timm.is_model(name):
            raise UserError(f"timm has no network '{name}'{few_near(name, timm.list_models())}")
        file = None if weights is None or weights == "pretrained" else _file(weights)
        with _explained(f"timm's weights for '{name}'"):
            model = timm.create_model(name, pretrained=weights is not None and file is None, num_classes=0, in_chans=channels)
        config: dict[str, Any] = model.pretrained_cfg
        if file is not None:
            classifier = config["classifier"]
            load_file(model, file, [classifier] if isinstance(classifier, str) else classifier)
        fixed = bool(config.get("fixed_input_size"))
        width = getattr(model, "head_hidden_size", model.num_features)
        # Other channels than the weights were trained with have one mean and one deviation for all.
        mean, std = (values if len(values) == channels else (fmean(values),) for values in (config["mean"], config["std"]))
        super().__init__(model, width, channels, config["input_size"][-1], fixed, layer, mean, std)
        self.name, self.weights, self.file = name, weights, file

    def classifier(self) -> nn.Linear:
        """The last layer of timm's pretrained network, whose weights are read once more."""
        import timm

        if self.weights is None or self.layer is not None:
            raise UserError(f"'{self.name}' has no classifier of its pretraining: set --model.backbone.weights, and no layer")
        with _explained(f"timm's weights for '{self.name}'"):
            model = timm.create_model(self.name, pretrained=self.file is None, in_chans=self.channels)
        if self.file is not None:
            load_file(model, self.file, [])
        classifier = model.get_classifier()
        if not isinstance(classifier, nn.Linear) or classifier.in_features != self.num_features:
            raise UserError(f"the pretrained classifier of '{self.name}' is not a linear layer on its features: use another network")
        return classifier


class Torchvision(Pretrained):
    """Any classification network of torchvision by name, without its last linear layer.

    Args:
        name: the network's name, as ``torchvision.models.list_models()`` gives it.
        weights: a name such as ``DEFAULT`` or ``IMAGENET1K_V1``, the path of a state_dict (``.pth``, ``.safetensors``),
            ``package:NAME`` for the file in an installed package, or null for random ones.
        layer: the name of the module whose output are the features, pooled, such as ``layer3``; by default the last.

    Raises:
        UserError: an unknown network or layer; weights that cannot be loaded, or are another network's.
    """

    def __init__(self, name: str = "resnet18", weights: str | None = "DEFAULT", layer: str | None = None) -> None:
        import torchvision

        names = torchvision.models.list_models(module=torchvision.models)
        if name not in names:
            raise UserError(f"torchvision has no network '{name}'{few_near(name, names)}")
        file = weights_file(weights) if weights else None
        with _explained(f"torchvision's weights '{weights}' for '{name}'"):
            model = torchvision.models.get_model(name, weights=None if file else weights)
            size = torchvision.models.get_model_weights(name).DEFAULT.transforms().crop_size[0]
        _drop_auxiliary(model)
        last = next((key for key, module in reversed(list(model.named_modules())) if isinstance(module, nn.Linear)), None)
        if last is None:
            raise UserError(f"torchvision's '{name}' does not end in a linear layer; use Timm for it")
        width = model.get_submodule(last).in_features
        model.set_submodule(last, nn.Identity())
        if file is not None:
            load_file(model, file, [last, *AUXILIARY])
        super().__init__(model, width, 3, size, hasattr(model, "image_size"), layer, *IMAGENET)
        self.name, self.weights, self.file, self.last = name, weights, file, last

    def classifier(self) -> nn.Linear:
        """The last layer of torchvision's pretrained network, whose weights are read once more."""
        import torchvision

        if self.weights is None or self.layer is not None:
            raise UserError(f"'{self.name}' has no classifier of its pretraining: set --model.backbone.weights, and no layer")
        with _explained(f"torchvision's weights '{self.weights}' for '{self.name}'"):
            model = torchvision.models.get_model(self.name, weights=None if self.file else self.weights)
        if self.file is not None:
            load_file(model, self.file, AUXILIARY)
        classifier = model.get_submodule(self.last)
        assert isinstance(classifier, nn.Linear)
        return classifier


def _drop_auxiliary(model: Any) -> None:
    """Remove the parts that give additional outputs in training."""
    for name in AUXILIARY:
        if hasattr(model, name):
            setattr(model, name, None)
            model.aux_logits = False


def _file(weights: str) -> Path:
    if (file := weights_file(weights)) is None:
        raise UserError(
            f"there are no weights '{weights}': take pretrained, package:NAME, a file that ends in {', '.join(SUFFIXES)}, or null"
        )
    return file


def few_near(name: str, names: list[str]) -> str:
    """The nearest of ``names``, or all where they are few."""
    text = near(name, names)
    return text if len(text) < 200 else f"; {len(names)} are known"


class _explained:
    """Turn a failed download into a sentence."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, RuntimeError, KeyError, ValueError)):
            raise UserError(
                f"cannot load {self.what}: {str(error).splitlines()[0] if str(error) else kind}; "
                "connect once so that they are cached, name a file or an installed package, or start from random weights (null)"
            ) from error
