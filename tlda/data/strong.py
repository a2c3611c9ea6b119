"""Strong views: what authors show the network of the images that its teacher sees as they are. Nothing in them moves."""

from __future__ import annotations

import math

from tlda.data.augment import PerImage, RandomGreyscale
from tlda.data.augmenting import Augment


def of_dacs() -> list[Augment]:
    """The view of DACS's code (Tranheden et al., WACV 2021): colours change by a quarter, and half of the images are blurred."""
    return _in_other_colours(0.25, 0.25, (0.15, 1.15))


def of_adaptive_teacher() -> list[Augment]:
    """The view of Adaptive Teacher's code (Li et al., CVPR 2022): other colours, a blur, grey, and boxes of noise."""
    boxes = (0.7, (0.05, 0.2), (0.3, 3.3)), (0.5, (0.02, 0.2), (0.1, 6.0)), (0.3, (0.02, 0.2), (0.05, 8.0))
    erased = [PerImage("RandomErasing", {"p": p, "scale": scale, "ratio": ratio, "value": "random"}) for p, scale, ratio in boxes]
    return [*_in_other_colours(0.4, 0.1, (0.1, 2.0)), RandomGreyscale(0.2), *erased]


def _in_other_colours(amount: float, hue: float, sigma: tuple[float, float]) -> list[Augment]:
    """Changes of the colours of four in five images, by factors of up to ``amount``, and a blur of half, by ``sigma`` pixels."""
    colours = {"brightness": amount, "contrast": amount, "saturation": amount, "hue": hue}
    blur = {"kernel_size": 2 * math.ceil(3 * sigma[1]) + 1, "sigma": sigma}
    return [PerImage("ColorJitter", colours, 0.8), PerImage("GaussianBlur", blur, 0.5)]
