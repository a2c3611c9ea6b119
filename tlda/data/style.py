"""Augmentations that give each source image the look of a target image of its batch, with nothing to train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from tlda.data.augmenting import Augment
from tlda.errors import UserError

Window = Literal["centred", "corners"]
"""Which low frequencies :func:`fourier_swap` swaps."""


class Restyle(Augment):
    """The base of what changes the source's images after the target's: :meth:`restyle`; those of the target stay as they are."""

    moves, sees_target = False, True

    def restyle(self, source: Tensor, target: Tensor) -> Tensor:
        """Source images (n, c, h, w) in the look of as many target images, both in 0..1."""
        raise NotImplementedError

    def domains(self, images: Sequence[Tensor]) -> list[Tensor]:
        """The source images in the style of target images, row by row, and the target images as they are."""
        name = type(self).__name__
        if len(images) != 2:
            raise UserError(
                f"{name} needs a source and a target in the batch, and the method trains on other domains: take one that learns the "
                "source, with a target beside it or not, such as SourceOnly"
            )
        source, target = images
        if source.shape[1:] != target.shape[1:]:
            shapes = tuple(source.shape[1:]), tuple(target.shape[1:])
            raise UserError(
                f"{name} needs images of one shape, and the source's are {shapes[0]}, the target's {shapes[1]} (channels, height, width): "
                "give both domains one size and as many channels"
            )
        rows = torch.arange(len(source), device=source.device) % len(target)
        return [self.restyle(source, target[rows]), target]


def fourier_swap(source: Tensor, target: Tensor, beta: float, window: Window = "centred") -> Tensor:
    """Source images with the low frequencies' amplitudes of the target's, and their own phases (Yang & Soatto, CVPR 2020, eq. 3).

    Args:
        source: (n, c, h, w).
        target: alike.
        beta: half the side of the square of frequencies that are swapped, as a share of the image's shorter side, rounded down. Above
            0 it has the mean at least, as in the authors' demonstration; at 0 there is none, and the images stay as they are.
        window: ``centred`` swaps the frequencies from -b to b of either side, as that demonstration does; ``corners`` those from -b to
            b - 1, as the code does that the authors train with: of b = 0 none.
    """
    if beta == 0:
        return source
    reach = int(beta * min(source.shape[2:]))
    frequencies = [torch.fft.fftfreq(n, 1 / n, device=source.device).round() for n in source.shape[2:]]
    near = [(f >= -reach) & (f <= reach - (window == "corners")) for f in frequencies]
    ours, theirs = (torch.fft.fft2(x.float()) for x in (source, target))
    amplitude = torch.where(near[0][:, None] & near[1], theirs.abs(), ours.abs())
    swapped: Tensor = torch.fft.ifft2(torch.polar(amplitude, ours.angle())).real
    return swapped


class FDA(Restyle):
    """Each source image gets the low frequencies' amplitudes of a target image's (Yang & Soatto, CVPR 2020): :func:`fourier_swap`.

    The result is cut to 0..1. The paper's method trains on such images, and minimises a robust entropy on the target with a weight of
    0.005: ``--model.plus+=MinEnt --model.plus.trade_off 0.005`` minimises the entropy.

    Args:
        beta: see :func:`fourier_swap`; the paper's are 0.01, 0.05 and 0.09, at 512 pixels.
        window: see :func:`fourier_swap`; by default ``centred``.
    """

    def __init__(self, beta: float = 0.05, window: Window | None = None) -> None:
        super().__init__()
        if not 0 <= beta <= 0.5:
            raise UserError(f"FDA: beta is {beta}; it is a share of the image's shorter side, 0 to 0.5")
        self.beta = beta
        self.window: Window = window or "centred"

    def restyle(self, source: Tensor, target: Tensor) -> Tensor:
        return fourier_swap(source, target, self.beta, self.window).clamp(0, 1)


class ColourTransfer(Restyle):
    """Each channel of a source image gets the mean and the spread of a target image's (Reinhard et al., 2001, eq. 10-11).

    In the images' own channels, not in the paper's decorrelated ones, so that grey images have it too; the result is cut to 0..1.
    """

    def restyle(self, source: Tensor, target: Tensor) -> Tensor:
        (spread, mean), (wanted_spread, wanted_mean) = (torch.std_mean(x, (2, 3), keepdim=True) for x in (source, target))
        return ((source - mean) * (wanted_spread / spread.clamp_min(1e-3)) + wanted_mean).clamp(0, 1)
