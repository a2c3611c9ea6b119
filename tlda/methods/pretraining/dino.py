"""Self-distillation over crops."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tlda.data.augment import RandomZoom
from tlda.losses import dino
from tlda.methods.pretraining.taught import Taught
from tlda.nn import projector
from tlda.nn.cosine_head import CosineHead


class DINO(Taught):
    """From small crops the network finds what a moving average of it says, centred and sharpened, of large ones (Caron et al., ICCV 2021).

    Args:
        momentum: what the average keeps of itself at each step at first; it rises to 1. The paper's 0.996 is for long runs.
        crops: the small crops of an image beside its two large ones.
        crop_size: the height and width of the small ones; those of the image where none is given, for a network of one size.
        border: the fraction of the image's area above which a crop is large.
        student_temperature: divides the network's scores.
        teacher_temperature: divides the average's.
        centre_momentum: what the centre keeps of itself at each step.
        hidden: the width of the hidden layers of the projector; the paper's is 2048.
        bottleneck_width: the width of what is scored; the paper's is 256.
        width: the number of scores; the paper's is 65,536.
    """

    centre: Tensor

    def __init__(
        self,
        *,
        momentum: float = 0.99,
        crops: int = 4,
        crop_size: int | None = None,
        border: float = 0.4,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        centre_momentum: float = 0.9,
        hidden: int = 512,
        bottleneck_width: int = 128,
        width: int = 1024,
        **kwargs: Any,
    ) -> None:
        super().__init__(momentum=momentum, **kwargs)
        self.crops, self.crop_size, self.centre_momentum = crops, crop_size, centre_momentum
        self.temperatures = student_temperature, teacher_temperature
        self.large, self.small = RandomZoom((border, 1.0)), RandomZoom((border / 8, border))
        scored = projector(self.num_features, hidden, bottleneck_width, layers=3)
        self.learnt["projector"] = nn.Sequential(scored, CosineHead(bottleneck_width, width, 1.0))
        self.register_buffer("centre", torch.zeros(width))
        self.teach("projector")

    def compared(self, features: Tensor) -> Tensor:
        return cast(Tensor, self.learnt["projector"].get_submodule("0")(features))

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        large = [self.view(self.large(x)) for _ in range(2)]
        student = [self.learnt["projector"](self.features(crop)) for crop in (*large, *(self.local(x) for _ in range(self.crops)))]
        teacher = [self.teacher(crop) for crop in large]
        pairs = [(i, j) for i in range(len(teacher)) for j in range(len(student)) if i != j]
        terms = [dino(student[j], teacher[i], *self.temperatures, self.centre) for i, j in pairs]
        self.centre.lerp_(torch.cat(teacher).float().mean(0), 1 - self.centre_momentum)
        return {"distillation": torch.stack(terms).mean()}

    def local(self, x: Tensor) -> Tensor:
        """A small crop of each image."""
        crop = self.view(self.small(x))
        return crop if self.crop_size is None else interpolate(crop, self.crop_size, mode="bilinear", antialias=True)
