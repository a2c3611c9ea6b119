"""Networks of segmentation_models_pytorch, by name."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate

from tlda.backbones.base import Backbone, require_shape
from tlda.backbones.pretrained import IMAGENET, few_near
from tlda.errors import UserError, lacking


class SegmentationModels(Backbone):
    """Any network of segmentation_models_pytorch, without its head: a row of features is a position, as of :class:`Dense`.

    What its decoder gives is brought to ``stride``, bilinearly: images (n, c, h, w) to rows (n * h / stride * w / stride, d). It comes with
    ``pip install 'tlda[segmentation]'``.

    Args:
        name: the architecture, as the library's ``create_model`` has it.
        encoder: the name of its encoder; ``tu-NAME`` is any network of timm.
        weights: the encoder's, which the library gets from its hub, such as ``imagenet``; null for random ones.
        channels: the input's channels.
        stride: the distance of two positions in pixels, of which height and width of the images are multiples.

    Raises:
        UserError: the library is not installed; an unknown architecture, encoder or name of weights; a stride below 1.
    """

    def __init__(
        self, name: str = "unet", encoder: str = "resnet18", weights: str | None = "imagenet", channels: int = 3, stride: int = 4
    ) -> None:
        try:
            import segmentation_models_pytorch as library
        except ImportError as error:
            raise lacking("the backbone SegmentationModels", "segmentation-models-pytorch", "segmentation") from error
        if stride < 1:
            raise UserError(f"SegmentationModels has stride {stride}: it is 1 or more")
        if name not in (names := [*library.MODEL_ARCHITECTURES_MAPPING]):
            raise UserError(f"segmentation_models_pytorch has no network '{name}'{few_near(name, names)}")
        try:
            model: Any = library.create_model(name, encoder, weights, in_channels=channels)
        except (KeyError, ValueError, OSError, RuntimeError) as error:
            raise UserError(f"cannot make '{name}' on the encoder '{encoder}' with weights {weights}: {error}") from error
        given = library.encoders.get_preprocessing_params(encoder, weights) if weights else {}
        mean, std = (given.get(key) or usual for key, usual in zip(("mean", "std"), IMAGENET, strict=True))
        super().__init__(
            next(part.in_channels for part in model.segmentation_head.modules() if isinstance(part, nn.Conv2d)),
            *(values if len(values) == channels else [sum(values) / len(values)] for values in (mean, std)),
        )
        model.segmentation_head = nn.Identity()
        self.model, self.channels, self.stride = model, channels, stride

    def features(self, x: Tensor) -> Tensor:
        """Features (n * h / stride * w / stride, ``num_features``) of normalised images (n, c, h, w)."""
        if x.shape[2] % self.stride or x.shape[3] % self.stride:
            raise UserError(f"images of {x.shape[2]} x {x.shape[3]} have no whole number of positions at stride {self.stride}: resize them")
        try:
            decoded = self.model(x)
        except (RuntimeError, ValueError) as error:
            if "height and width" not in str(error):
                raise
            raise UserError(f"the network takes no images of {x.shape[2]} x {x.shape[3]}: {str(error).strip()}") from error
        size = x.shape[2] // self.stride, x.shape[3] // self.stride
        at_stride = decoded if decoded.shape[2:] == size else interpolate(decoded, size, mode="bilinear")
        rows: Tensor = at_stride.permute(0, 2, 3, 1).flatten(0, 2)
        return rows

    def forward(self, x: Tensor) -> Tensor:
        require_shape(x, self, self.channels, None)
        return super().forward(x)
