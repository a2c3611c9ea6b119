"""Corruptions of images at five severities, those of CIFAR-10-C, with its constants (Hendrycks and Dietterich, ICLR 2019, make_cifar_c.py).

Fourteen of the fifteen: frost is made of photographs of frost. A motion blur is a one-sided Gaussian along a line, as ImageMagick has it.
The constants are of images of about 32 pixels. What is random is drawn for each image by its number and the corruption alone.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlda.batch import Rows, Sample
from tlda.data.arrays import Images, digest
from tlda.data.cache import mapped, slug
from tlda.data.rows import Over, digest_of
from tlda.errors import UserError, near

VERSION = 1
"""Of the corruptions in the cache: raise it when a change of the code changes an image."""

Image = NDArray[np.float64]
"""An image (h, w, c) in 0..1."""

Change = Callable[[Image, Any, np.random.Generator], Image]
"""An image, the constants of a severity and random numbers to another image, which is then cut to 0..1."""


def gaussian_noise(x: Image, c: float, draw: np.random.Generator) -> Image:
    """Normal noise of the standard deviation ``c``."""
    return x + draw.normal(scale=c, size=x.shape)


def shot_noise(x: Image, c: float, draw: np.random.Generator) -> Image:
    """Poisson noise, ``c`` photons at full brightness."""
    return draw.poisson(x * c) / c


def impulse_noise(x: Image, c: float, draw: np.random.Generator) -> Image:
    """A fraction ``c`` of the values is 0 or 1."""
    return np.where(draw.random(x.shape) < c, draw.random(x.shape) < 0.5, x)


def blurred(x: Image, sigma: float) -> Image:
    """``x`` (h, w, …) after a Gaussian of ``sigma`` pixels."""
    from scipy.ndimage import gaussian_filter

    found: Image = gaussian_filter(x, (sigma, sigma, *(0,) * (x.ndim - 2)), mode="nearest")
    return found


def defocus_blur(x: Image, c: tuple[float, float], draw: np.random.Generator) -> Image:
    """The mean over a disk of a radius, whose edge a Gaussian of three pixels softens."""
    from scipy.ndimage import convolve

    radius, alias = c
    places = np.arange(-4, 5)
    disk = (places[:, None] ** 2 + places**2 <= radius**2).astype(float)
    soft = np.exp(-(np.arange(-1, 2) ** 2) / (2 * alias**2))
    kernel = convolve(disk / disk.sum(), np.outer(soft, soft) / soft.sum() ** 2, mode="constant")
    found: Image = convolve(x, kernel[..., None], mode="mirror")
    return found


def glass_blur(x: Image, c: tuple[float, int, int], draw: np.random.Generator) -> Image:
    """Each pixel becomes a near one, between two Gaussians; the authors' code, meant to swap both, copies one."""
    sigma, most, times = c
    x = np.floor(blurred(x, sigma) * 255) / 255
    for _ in range(times):
        steps = draw.integers(-most, most, size=(*x.shape[:2], 2))
        for h in range(x.shape[0] - most, most, -1):
            for w in range(x.shape[1] - most, most, -1):
                x[h, w] = x[h + steps[h, w, 0], w + steps[h, w, 1]]
    return blurred(x, sigma)


def along(x: Image, radius: int, sigma: float, angle: float) -> Image:
    """``x`` (h, w, …) smeared along a line at ``angle`` degrees by one half of a Gaussian of ``2 radius + 1`` places."""
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    turned = math.radians(angle)
    rows, columns = np.arange(x.shape[0]), np.arange(x.shape[1])
    found = np.zeros_like(x)
    for place, weight in enumerate(weights / weights.sum()):
        down, right = (round(place * part) for part in (math.sin(turned), math.cos(turned)))
        found += weight * x[(rows + down).clip(0, len(rows) - 1)][:, (columns + right).clip(0, len(columns) - 1)]
    return found


def motion_blur(x: Image, c: tuple[int, float], draw: np.random.Generator) -> Image:
    """A smear along a line at up to 45 degrees from the horizontal."""
    return along(x, *c, draw.uniform(-45, 45))


def zoomed(x: Image, factor: float) -> Image:
    """The middle of ``x`` (h, w, c), enlarged by ``factor`` to its size."""
    from scipy.ndimage import zoom

    sizes = [math.ceil(side / factor) for side in x.shape[:2]]
    starts = [(side - size) // 2 for side, size in zip(x.shape, sizes, strict=False)]
    large: Image = zoom(x[starts[0] : starts[0] + sizes[0], starts[1] : starts[1] + sizes[1]], (factor, factor, 1), order=1)
    top, left = ((have - want) // 2 for have, want in zip(large.shape[:2], x.shape[:2], strict=True))
    return large[top : top + x.shape[0], left : left + x.shape[1]]


def zoom_blur(x: Image, c: float, draw: np.random.Generator) -> Image:
    """The mean of the image and its enlargements by 1, 1.01, … up to but without ``c``."""
    factors = np.arange(1, c, 0.01)
    found: Image = (x + sum(zoomed(x, factor) for factor in factors)) / (len(factors) + 1)
    return found


def snow(x: Image, c: tuple[float, float, float, float, int, float, float], draw: np.random.Generator) -> Image:
    """Smeared flakes on a whitened image."""
    mean, deviation, factor, floor, radius, sigma, kept = c
    flakes = zoomed(draw.normal(mean, deviation, size=(*x.shape[:2], 1)), factor)
    flakes = along(np.where(flakes < floor, 0, flakes).clip(0, 1), radius, sigma, draw.uniform(-135, -45))
    grey = x @ [0.299, 0.587, 0.114] if x.shape[2] == 3 else x[..., 0]
    white = kept * x + (1 - kept) * np.maximum(x, grey[..., None] * 1.5 + 0.5)
    found: Image = white + flakes + np.rot90(flakes, 2)
    return found


def plasma(side: int, decay: float, draw: np.random.Generator) -> Image:
    """A height map (side, side) in 0..1 by diamonds and squares on a torus; ``side`` is a power of 2."""
    found, step, wibble = np.zeros((side, side)), side, 100.0

    def middle(corners: Image) -> Image:
        mean: Image = corners / 4 + wibble * draw.uniform(-wibble, wibble, corners.shape)
        return mean

    while step >= 2:
        half = step // 2
        corner = found[::step, ::step]
        pairs = corner + np.roll(corner, -1, 0)
        found[half::step, half::step] = middle(pairs + np.roll(pairs, -1, 1))
        centre, corner = found[half::step, half::step], found[::step, ::step]
        found[::step, half::step] = middle(centre + np.roll(centre, 1, 0) + corner + np.roll(corner, -1, 1))
        found[half::step, ::step] = middle(centre + np.roll(centre, 1, 1) + corner + np.roll(corner, -1, 0))
        step, wibble = half, wibble / decay
    found -= found.min()
    scaled: Image = found / found.max()
    return scaled


def fog(x: Image, c: tuple[float, float], draw: np.random.Generator) -> Image:
    """A height map on top of the image, which keeps its greatest value."""
    side, most = 1 << (max(x.shape[:2]) - 1).bit_length(), x.max()
    foggy: Image = (x + c[0] * plasma(side, c[1], draw)[: x.shape[0], : x.shape[1], None]) * most / (most + c[0])
    return foggy


def brightness(x: Image, c: float, draw: np.random.Generator) -> Image:
    """The value, in hue, saturation and value, is ``c`` more."""
    value = x.max(2, keepdims=True)
    raised = (value + c).clip(0, 1)
    found: Image = np.where(value > 0, x * raised / np.maximum(value, 1e-12), raised)
    return found


def contrast(x: Image, c: float, draw: np.random.Generator) -> Image:
    """The distance from the mean of each channel is ``c`` times as large."""
    means = x.mean((0, 1), keepdims=True)
    found: Image = (x - means) * c + means
    return found


def elastic_transform(x: Image, c: tuple[float, float, float], draw: np.random.Generator) -> Image:
    """A random affine map, then a smooth displacement of each pixel; the constants are fractions of the side."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    shape, side = x.shape[:2], min(x.shape[:2])
    strength, smooth, moved = (part * side for part in c)
    centre, third = np.array(shape) // 2, side // 3
    corners = centre + third * np.array([[1, 1], [1, -1], [-1, -1]])
    ends = corners + draw.uniform(-moved, moved, corners.shape)
    back = np.linalg.solve(np.c_[ends, np.ones(3)], corners)  # (3, 2): from a place in the result to one in the image
    grid = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), 2).reshape(-1, 2)
    places = np.c_[grid, np.ones(len(grid))] @ back

    def at(image: Image, points: Image, mode: str) -> Image:
        parts = [map_coordinates(channel, points.T[::-1], order=1, mode=mode) for channel in np.moveaxis(image, 2, 0)]
        return np.stack(parts, 1).reshape(x.shape)

    noise = (gaussian_filter(draw.uniform(-1, 1, shape), smooth, mode="reflect", truncate=3) * strength for _ in range(2))
    return at(at(x, places, "mirror"), grid + np.stack([part.ravel() for part in noise], 1), "reflect")


def by_pillow(x: Image, change: Callable[[Any], Any]) -> Image:
    """``x`` as an image of Pillow's, changed, and back."""
    from PIL import Image as Pillow

    found = np.asarray(change(Pillow.fromarray((x * 255).round().astype(np.uint8).squeeze())), np.float64) / 255
    return found.reshape(x.shape)


def pixelate(x: Image, c: float, draw: np.random.Generator) -> Image:
    """Made smaller by ``c`` and as large as before, by the means of boxes."""
    from PIL.Image import Resampling

    size = x.shape[1], x.shape[0]
    return by_pillow(x, lambda image: image.resize([int(side * c) for side in size], Resampling.BOX).resize(size, Resampling.BOX))


def jpeg_compression(x: Image, c: int, draw: np.random.Generator) -> Image:
    """Saved as JPEG of the quality ``c``, and read again."""
    from PIL import Image as Pillow

    def _saved(image: Any) -> Any:
        image.save(file := io.BytesIO(), "JPEG", quality=c)
        return Pillow.open(file)

    return by_pillow(x, _saved)


CORRUPTIONS: Mapping[str, tuple[Change, tuple[Any, ...]]] = {
    "gaussian_noise": (gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": (impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": (defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "glass_blur": (glass_blur, ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))),
    "motion_blur": (motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom_blur": (zoom_blur, (1.06, 1.11, 1.16, 1.21, 1.26)),
    "snow": (
        snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "fog": (fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": (brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic_transform": (elastic_transform, ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))),
    "pixelate": (pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": (jpeg_compression, (80, 65, 58, 50, 40)),
}
"""The corruptions by name, each with its constants at the severities 1 to 5."""


def require_corruption(name: str) -> tuple[str, int]:
    """The corruption and the severity that ``name`` means, such as ``fog5``; 0 where it is ``none``.

    Raises:
        UserError: there is no such corruption, or no such severity.
    """
    kind, digits = name.rstrip("0123456789"), name[len(name.rstrip("0123456789")) :]
    if name == "none":
        return name, 0
    if kind not in CORRUPTIONS:
        raise UserError(f"there is no corruption '{kind}'{near(kind, CORRUPTIONS)}")
    if digits not in {"1", "2", "3", "4", "5"}:
        raise UserError(f"the corruption '{name}' has no severity from 1 to 5: write it as {kind}5")
    return kind, int(digits)


def corrupt(images: Tensor, name: str, numbers: Tensor) -> Tensor:
    """Images (n, c, h, w), bytes or floats in 0..1, with the corruption ``name``; what is random follows each one's number.

    Example:
        >>> corrupt(torch.full((1, 1, 4, 4), 0.5), "brightness5", torch.tensor([0]))[0, 0, 0, 0].item()
        0.800000011920929
    """
    kind, severity = require_corruption(name)
    if not severity:
        return images
    change, constants = CORRUPTIONS[kind]
    scale = 1.0 if images.is_floating_point() else 255.0
    found = []
    for image, number in zip(images.double().div(scale).permute(0, 2, 3, 1).numpy(), numbers.tolist(), strict=True):
        draw = np.random.default_rng([zlib.crc32(name.encode()), number])
        found.append(np.clip(change(image.copy(), constants[severity - 1], draw), 0, 1) * scale)
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).to(images.dtype).contiguous()


@dataclass
class Corrupted(Over):
    """The rows of images under a corruption, which is made once and cached where all of them are in memory, else as they are read.

    Raises:
        UserError: rows that are no images (n, c, h, w).
    """

    name: str

    @cached_property
    def made(self) -> Tensor | None:
        """All images under the corruption, bytes (n, c, h, w), by a memory map; None where those of the data are not in memory."""
        if not isinstance(self.data, Images) or self.data.images.dtype != torch.uint8 or self.data.images.ndim != 4:
            return None
        images, numbers = self.data.images, torch.arange(len(self))
        parts = [slice(first, first + 1000) for first in range(0, len(self), 1000)]
        entry = f"corrupted/{slug(self.name)}-{VERSION}-{self.digest}"
        return mapped(entry, len(self), lambda: (corrupt(images[part], self.name, numbers[part]) for part in parts))

    def __getitem__(self, rows: Tensor) -> Sample:
        if self.made is not None:
            return Sample(self.made[rows], self.labels[rows], rows)
        sample = self.data[rows]
        if not isinstance(sample.x, Tensor) or sample.x.ndim != 4:
            raise UserError(f"the corruption '{self.name}' is of images, and these rows are none: leave it out")
        return sample._replace(x=corrupt(sample.x, self.name, sample.row))

    @property
    def digest(self) -> str:
        """A hash of the data and of the corruption."""
        return digest((digest_of(self.data).encode(), self.name.encode()))


def cleaned(name: str, other: str = "") -> tuple[str, str]:
    """The name of a domain without its corruption, and that, such as ``mnist`` and ``fog5`` of ``mnist+fog5``; ``none`` where it has none.

    Args:
        name: the domain.
        other: what may follow a ``+`` and is no corruption.

    Raises:
        UserError: an unknown corruption.
    """
    domain, plus, kind = name.rpartition("+")
    if not plus or kind == other:
        return name, "none"
    require_corruption(kind)
    return domain, kind


def corrupted(data: Rows, name: str) -> Rows:
    """The rows of ``data`` under the corruption ``name``; as they are where it is ``none``."""
    return data if name == "none" else Corrupted(data, name)
