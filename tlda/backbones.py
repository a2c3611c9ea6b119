"""Feature extractors: images in 0..1, (n, c, h, w), to features (n, ``num_features``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlda.errors import UserError, near


class Backbone(nn.Module):
    """The base of every feature extractor. It normalises its own input, so that a checkpoint carries its statistics.

    Args:
        num_features: the width of what :meth:`features` returns.
        mean: the input's mean per channel, or one for all, in 0..1.
        std: the input's standard deviation, alike.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, num_features: int, mean: Sequence[float] = (0.5,), std: Sequence[float] = (0.5,)) -> None:
        super().__init__()
        self.num_features = num_features
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def features(self, x: Tensor) -> Tensor:
        """Features (n, ``num_features``) of normalised images (n, c, h, w)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x.sub(self.mean).div_(self.std))


def _require_shape(x: Tensor, channels: int, size: int, backbone: nn.Module) -> None:
    name = type(backbone).__name__
    if x.shape[1] != channels:
        raise UserError(f"{name} takes {channels} channel(s), the images have {x.shape[1]}: set --model.backbone.channels {x.shape[1]}")
    if tuple(x.shape[2:]) != (size, size):
        raise UserError(
            f"{name} takes images of {size} x {size}, these are {x.shape[2]} x {x.shape[3]}: set --model.backbone.size or --data.size"
        )


class LeNet(Backbone):
    """Two convolutions and a hidden layer, as the digit experiments of the field use it (LeCun et al., 1998).

    Args:
        channels: 1 for grey digits, 3 where a domain is in colour.
        size: height and width of the images.
        num_features: the width of the hidden layer.
        batch_norm: normalise after each layer.
        dropout: the dropout before the hidden layer.
    """

    def __init__(self, channels: int = 1, size: int = 28, num_features: int = 500, batch_norm: bool = False, dropout: float = 0.5) -> None:
        super().__init__(num_features)
        self.channels, self.size = channels, size
        side = ((size - 4) // 2 - 4) // 2
        if side < 1:
            raise UserError(f"LeNet needs images of at least 16 pixels, got size {size}")
        self.layers = nn.Sequential(
            *self._block(channels, 20, batch_norm),
            *self._block(20, 50, batch_norm),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(50 * side * side, num_features),
            *([nn.BatchNorm1d(num_features)] if batch_norm else []),
            nn.ReLU(),
        )

    @staticmethod
    def _block(inputs: int, outputs: int, batch_norm: bool) -> list[nn.Module]:
        normalise: list[nn.Module] = [nn.BatchNorm2d(outputs)] if batch_norm else []
        return [nn.Conv2d(inputs, outputs, 5), *normalise, nn.MaxPool2d(2), nn.ReLU()]

    def features(self, x: Tensor) -> Tensor:
        _require_shape(x, self.channels, self.size, self)
        features: Tensor = self.layers(x)
        return features


class DTN(Backbone):
    """Three strided convolutions with BatchNorm and dropout, the usual net of SVHN and MNIST at 32 pixels.

    The layers are those of ADDA's and SHOT's digit experiments (Liang et al., ICML 2020).

    Args:
        channels: 1 for grey digits, 3 where a domain is in colour.
        size: height and width of the images.
        num_features: the width of the hidden layer.
    """

    def __init__(self, channels: int = 3, size: int = 32, num_features: int = 512) -> None:
        super().__init__(num_features)
        self.channels, self.size = channels, size
        layers: list[nn.Module] = []
        for inputs, outputs, dropout in ((channels, 64, 0.1), (64, 128, 0.3), (128, 256, 0.5)):
            layers += [nn.Conv2d(inputs, outputs, 5, 2, 2), nn.BatchNorm2d(outputs), nn.Dropout2d(dropout), nn.ReLU()]
        side = -(-size // 8)
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(256 * side * side, num_features), nn.BatchNorm1d(num_features), nn.ReLU()
        )

    def features(self, x: Tensor) -> Tensor:
        _require_shape(x, self.channels, self.size, self)
        features: Tensor = self.layers(x)
        return features


class Timm(Backbone):
    """Any network of timm by name, without its classifier.

    Args:
        name: the network's name, as ``timm.list_models()`` gives it.
        pretrained: load the weights that timm publishes (from its hub, or its cache).
        channels: the input's channels.
    """

    def __init__(self, name: str = "resnet18", pretrained: bool = True, channels: int = 3) -> None:
        import timm

        if not timm.is_model(name):
            raise UserError(f"timm has no network '{name}'{_few_near(name, timm.list_models())}")
        with _explained(f"timm's weights for '{name}'"):
            model = timm.create_model(name, pretrained=pretrained, num_classes=0, in_chans=channels)
        config: dict[str, Any] = model.pretrained_cfg
        super().__init__(model.num_features, config["mean"], config["std"])
        self.model = model

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.model(x)
        return features


class Torchvision(Backbone):
    """Any classification network of torchvision by name, without its last linear layer.

    Args:
        name: the network's name, as ``torchvision.models.list_models()`` gives it.
        weights: a name such as ``DEFAULT`` or ``IMAGENET1K_V1``, or null for random weights.
    """

    def __init__(self, name: str = "resnet18", weights: str | None = "DEFAULT") -> None:
        import torchvision

        names = torchvision.models.list_models(module=torchvision.models)
        if name not in names:
            raise UserError(f"torchvision has no network '{name}'{_few_near(name, names)}")
        with _explained(f"torchvision's weights '{weights}' for '{name}'"):
            model = torchvision.models.get_model(name, weights=weights)
        last = next((key for key, module in reversed(list(model.named_modules())) if isinstance(module, nn.Linear)), None)
        if last is None:
            raise UserError(f"torchvision's '{name}' does not end in a linear layer; use Timm for it")
        super().__init__(model.get_submodule(last).in_features, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        model.set_submodule(last, nn.Identity())
        self.model = model

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.model(x)
        return features


def _few_near(name: str, names: list[str]) -> str:
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
                "connect once so that they are cached, or start from random weights"
            ) from error
