"""Small nets for digits."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tlda.backbones.base import Backbone, require_shape
from tlda.errors import UserError


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
        require_shape(x, self, self.channels, self.size)
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
        require_shape(x, self, self.channels, self.size)
        features: Tensor = self.layers(x)
        return features


class MNISTCNN(Backbone):
    """Four 3 x 3 convolutions, each with ReLU and GroupNorm, and the mean over positions: DomainBed's net for MNIST (ICLR 2021).

    Args:
        channels: 1 for grey digits, 3 for colour.
        size: the height and width of the images.
        width: the channels of the first layer, a multiple of 8; the others have twice as many, which is the number of features.
    """

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64) -> None:
        if width < 8 or width % 8:
            raise UserError(f"MNISTCNN normalises 8 groups of channels: its width is {width}, and must be a multiple of 8")
        super().__init__(2 * width, mean=(0.0,), std=(1.0,))
        self.channels, self.size = channels, size
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((channels, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1), (2 * width, 2 * width, 1)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU(), nn.GroupNorm(8, outputs)]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def features(self, x: Tensor) -> Tensor:
        require_shape(x, self, self.channels, self.size)
        features: Tensor = self.layers(x)
        return features


class PixelMLP(Backbone):
    """Fully connected layers with ReLU on the pixels of an image, as in the coloured digits of invariant risk minimisation.

    Weights are drawn as in the authors' code (Arjovsky et al., 2019): Glorot's uniform, biases zero. Pixels stay in 0..1.

    Args:
        channels: 1 for grey digits, 2 for those of :class:`tlda.data.ColoredMNIST`.
        size: height and width of the images.
        hidden: the width of each layer; the last one's is that of the features.
    """

    def __init__(self, channels: int = 2, size: int = 14, hidden: Sequence[int] = (390, 390)) -> None:
        if not hidden or min(hidden) < 1:
            raise UserError(f"PixelMLP needs layers of at least one unit: hidden is {list(hidden)}")
        super().__init__(hidden[-1], mean=(0.0,), std=(1.0,))
        self.channels, self.size = channels, size
        widths = zip((channels * size**2, *hidden), hidden, strict=False)
        self.layers = nn.Sequential(nn.Flatten(), *(part for before, after in widths for part in (nn.Linear(before, after), nn.ReLU())))
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def features(self, x: Tensor) -> Tensor:
        require_shape(x, self, self.channels, self.size)
        features: Tensor = self.layers(x)
        return features
