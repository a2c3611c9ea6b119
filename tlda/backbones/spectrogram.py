"""Waves as images for any network of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tlda.backbones.base import Backbone
from tlda.errors import UserError
from tlda.nn.log_mel import log_mel, mel_filters


class Spectrogram(Backbone):
    """The log-mel spectrogram of waves (n, t), an image that a backbone of images reads.

    It is computed on the batch, on its device, with the values of librosa. Each clip's is brought to mean 0 and deviation 1, then to 0.5
    and 0.25, near where the pixels of images are, and to the size and the channels of the network. In training, bands of it may be masked
    (SpecAugment: Park et al., Interspeech 2019).

    Args:
        network: the backbone of images, whose channels and size it fills.
        rate: the samples per second of the waves, which is that of the data.
        bins: the bands of the mel scale.
        window: the length of a window in milliseconds.
        hop: the milliseconds from one window to the next.
        mask_bins: the most neighbouring bands that are masked in training; 0 for none.
        mask_frames: the most neighbouring windows that are masked in training; 0 for none.

    Raises:
        UserError: an option out of its range; inputs that are no waves, or shorter than a window.
    """

    def __init__(
        self,
        network: Backbone,
        rate: int = 8000,
        bins: int = 32,
        window: float = 64.0,
        hop: float = 31.25,
        mask_bins: int = 0,
        mask_frames: int = 0,
    ) -> None:
        super().__init__(network.num_features)
        samples, self.hop = 2 * round(rate * window / 2000), round(rate * hop / 1000)
        if min(bins, samples, self.hop) < 1 or min(mask_bins, mask_frames) < 0 or mask_bins >= bins:
            raise UserError(
                f"Spectrogram has rate {rate}, bins {bins}, window {window:g}, hop {hop:g}, mask_bins {mask_bins} and mask_frames "
                f"{mask_frames}: bins, window and hop are above 0, and at least one band is not masked"
            )
        self.network, self.rate, self.window, self.masks = network, rate, samples, (mask_bins, mask_frames)
        self.register_buffer("filters", mel_filters(rate, samples, bins), persistent=False)

    filters: Tensor

    def features(self, x: Tensor) -> Tensor:
        """Features (n, ``num_features``) of waves (n, t)."""
        features: Tensor = self.network(self.images(x))
        return features

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)

    def images(self, x: Tensor) -> Tensor:
        """The images (n, c, size, size) of waves (n, t), with the low bands below."""
        if x.ndim != 2 or not x.is_floating_point():
            raise UserError(f"Spectrogram takes waves (n, t), these are {tuple(x.shape)}: use --data Sounds, or another backbone")
        if x.shape[1] < self.window:
            raise UserError(f"the waves have {x.shape[1]} samples, and a window of Spectrogram {self.window}: give longer clips")
        bands = log_mel(x, self.filters, self.hop)
        std, mean = torch.std_mean(bands, (1, 2), keepdim=True)
        bands = ((bands - mean) / std.clamp_min(1e-4)).flip(1)
        if self.training and any(self.masks):
            bands = masked(masked(bands, self.masks[0], 1), self.masks[1], 2)
        size = self.network.size
        images = interpolate((0.5 + bands / 4)[:, None], (size, size), mode="bilinear", align_corners=False, antialias=True)
        return images.expand(-1, self.network.channels, -1, -1)

    def blocks(self) -> list[nn.Module]:
        return self.network.blocks()

    def classifier(self) -> nn.Linear:
        return self.network.classifier()

    def example(self, size: int | None = None) -> Tensor:
        return torch.zeros(2, size or self.rate)


def masked(bands: Tensor, most: int, dim: int) -> Tensor:
    """``bands`` (n, b, t) with up to ``most`` neighbours along ``dim`` of each set to 0, from a place that is drawn."""
    n, length = len(bands), bands.shape[dim]
    width = torch.randint(0, min(most, length - 1) + 1, (n, 1), device=bands.device)
    start = (torch.rand(n, 1, device=bands.device) * (length - width + 1)).floor()
    place = torch.arange(length, device=bands.device)
    kept = (place < start) | (place >= start + width)
    return bands * kept.unsqueeze(2 if dim == 1 else 1)
