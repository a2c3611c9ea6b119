"""Augmentations of a batch on its device, each image with random parameters of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from tlda.data.augmenting import Augment
from tlda.data.crops import Ragged, apart, window
from tlda.errors import UserError, near

LUMA = (0.2989, 0.587, 0.114)
"""The share of each channel in the grey of an image."""

FEW = 4
"""The images whose colours a processor changes at a time."""

TRIES = 10
"""How often a box is drawn for an image until one fits, as in torchvision."""


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise UserError(f"augmentation: {what}")


def _uniform(x: Tensor, limit: float) -> Tensor:
    """A number in -limit..limit for each image of the batch, (n,)."""
    return (2 * torch.rand(len(x), device=x.device) - 1) * limit


def _changed(x: Tensor, chosen: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The batch with a ``change`` of the images that are ``chosen`` (n, 1, 1, 1)."""
    if x.device.type != "cpu":
        return torch.where(chosen, change(x), x)  # a GPU need not be waited for to know how many are chosen
    changed, rows = x.clone(), chosen.flatten().nonzero().flatten()
    changed[rows] = change(x[rows])
    return changed


class RandomWindow(Augment):
    """Cut a square out of each image, every place as likely (torchvision's ``RandomCrop``); the images may differ in shape.

    Args:
        size: the side of the square in pixels.
    """

    crops = True
    moves = True

    def __init__(self, size: int) -> None:
        super().__init__()
        _require(size >= 1, "size is 1 pixel or more")
        self.size = size

    def forward(self, x: Tensor | Ragged) -> Tensor:
        images = apart(x)
        # Drawn on the processor, so that a GPU need not be waited for to know where the squares lie.
        places = torch.rand(len(images), 2).tolist()
        return torch.stack([window(image, *self._place(image, *place), self.size) for image, place in zip(images, places, strict=True)])

    def _place(self, image: Tensor, *shares: float) -> tuple[int, int]:
        """The upper left corner of the square that lies at ``shares`` of the way down and to the right."""
        height, width = image.shape[1:]
        _require(min(height, width) >= self.size, f"an image of {height} x {width} is smaller than the crop of {self.size}")
        top, left = (int(share * (length - self.size + 1)) for share, length in zip(shares, (height, width), strict=True))
        return top, left


class RandomResizedCrop(Augment):
    """Cut a box of random area and aspect ratio out of each image, and resize it to a square (Szegedy et al., 2015).

    Boxes are drawn as torchvision's ``RandomResizedCrop`` draws them, and resized by it: bilinear, antialiased. It comes first, sees images
    as they were read, which may differ in shape, and gives bytes for bytes.

    Args:
        size: the side of the square in pixels.
        scale: the least and the largest area of the box, as shares of the image's.
        ratio: the least and the largest width of the box over its height.
    """

    crops = True
    moves = True

    def __init__(self, size: int, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)) -> None:
        super().__init__()
        _require(size >= 1, "size is 1 pixel or more")
        _require(0 < scale[0] <= scale[1] <= 1, f"scale is {list(scale)}: two shares of the image's area, the smaller one first, up to 1")
        _require(0 < ratio[0] <= ratio[1], f"ratio is {list(ratio)}: two widths over heights above 0, the smaller one first")
        self.size, self.scale, self.ratio = size, tuple(scale), tuple(ratio)

    def forward(self, x: Tensor | Ragged) -> Tensor:
        """Cut a box out of each image and resize it: images (n, c, h, w), or of many sizes, to (n, c, ``size``, ``size``)."""
        from torchvision.transforms.v2.functional import resized_crop

        images = apart(x)
        boxes = self.boxes(torch.tensor([image.shape[1:] for image in images])).tolist()
        square = [self.size, self.size]
        return torch.stack([resized_crop(image, *box, square, antialias=True) for image, box in zip(images, boxes, strict=True)])

    def boxes(self, shapes: Tensor) -> Tensor:
        """Draw a box for each image of heights and widths ``shapes`` (n, 2): top, left, height and width, (n, 4), on the processor."""
        tries = (len(shapes), TRIES)
        area = torch.empty(tries).uniform_(*self.scale) * shapes.prod(1, keepdim=True)
        ratio = torch.empty(tries).uniform_(*map(math.log, self.ratio)).exp()
        drawn = torch.stack(((area / ratio).sqrt(), (area * ratio).sqrt()), 2).round().long()
        fits = ((drawn >= 1) & (drawn <= shapes[:, None])).all(2)
        first = drawn[torch.arange(len(shapes)), fits.byte().argmax(1)]
        box = torch.where(fits.any(1, keepdim=True), first, self._largest(shapes))
        free = shapes - box
        anywhere = (torch.rand(len(shapes), 2) * (free + 1)).long().minimum(free)
        return torch.cat((torch.where(fits.any(1, keepdim=True), anywhere, free // 2), box), 1)

    def _largest(self, shapes: Tensor) -> Tensor:
        """The heights and widths (n, 2) of the largest boxes within ``ratio``, which images get into which no box that is drawn fits."""
        height, width = shapes.unbind(1)
        narrowest, widest = self.ratio
        return torch.stack((height.minimum((width / narrowest).round().long()), width.minimum((height * widest).round().long())), 1)


class RandomAffine(Augment):
    """Rotate, shear, scale and move each image about its middle; what comes in from outside is black.

    Args:
        degrees: the largest rotation either way, in degrees.
        translate: the largest move in each direction, as a share of the image's width and height.
        scale: the largest change of size, as a share: 0.1 gives 0.9 to 1.1.
        shear: the largest horizontal shear either way, in degrees.
    """

    moves = True

    def __init__(self, degrees: float = 0.0, translate: float = 0.0, scale: float = 0.0, shear: float = 0.0) -> None:
        super().__init__()
        _require(min(degrees, translate, scale, shear) >= 0, "degrees, translate, scale and shear are 0 or more")
        _require(scale < 1 and shear < 90, "scale is below 1 and shear below 90 degrees")
        self.degrees, self.translate, self.scale, self.shear = degrees, translate, scale, shear

    def forward(self, x: Tensor) -> Tensor:
        grid = affine_grid(self.matrices(x), list(x.shape), align_corners=False)
        return grid_sample(x, grid.to(x.dtype), align_corners=False)

    def matrices(self, x: Tensor) -> Tensor:
        """From each pixel's place to where it is read, both in -1..1 of width and height, (n, 2, 3)."""
        angle, lean = _uniform(x, math.radians(self.degrees)), torch.tan(_uniform(x, math.radians(self.shear)))
        size = 1 / (1 + _uniform(x, self.scale))
        cos, sin, aspect = size * angle.cos(), size * angle.sin(), x.shape[2] / x.shape[3]
        # Width and height both span -1..1: the aspect ratio makes it a rotation of pixels, not of these coordinates.
        top = torch.stack((cos, (lean * cos - sin) * aspect, _uniform(x, 2 * self.translate)), 1)
        bottom = torch.stack((sin / aspect, lean * sin + cos, _uniform(x, 2 * self.translate)), 1)
        return torch.stack((top, bottom), 1)


class RandomCrop(Augment):
    """Move each image by whole pixels: a crop of its own size after padding with black.

    Args:
        padding: the most pixels in each direction.
    """

    moves = True

    def __init__(self, padding: int = 4) -> None:
        super().__init__()
        _require(padding >= 0, "padding is 0 or more pixels")
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        first = torch.randint(2 * self.padding + 1, (2, n, 1), device=x.device)
        rows, columns = first[0] + torch.arange(height, device=x.device), first[1] + torch.arange(width, device=x.device)
        images = torch.arange(n, device=x.device)[:, None, None]
        return pad(x, [self.padding] * 4).permute(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


class RandomHorizontalFlip(Augment):
    """Mirror some images, left to right.

    Args:
        p: the probability.
    """

    moves = True

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        _require(0 <= p <= 1, "p is a probability, 0 to 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return _changed(x, torch.rand(len(x), 1, 1, 1, device=x.device) < self.p, lambda some: some.flip(3))


class ColourJitter(Augment):
    """Change the brightness, then the contrast about the image's mean, of each image; the result stays in 0..1. See :class:`PhotoJitter`.

    Args:
        brightness: the largest change of the factor on all values: 0.4 gives 0.6 to 1.4.
        contrast: the largest change of the factor on the distance from the mean.
    """

    moves = False

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0) -> None:
        super().__init__()
        _require(0 <= brightness <= 1 and 0 <= contrast <= 1, "brightness and contrast are 0 to 1")
        self.brightness, self.contrast = brightness, contrast

    def forward(self, x: Tensor) -> Tensor:
        bright = x * (1 + _uniform(x, self.brightness)).view(-1, 1, 1, 1)
        mean = bright.mean((1, 2, 3), keepdim=True)
        return torch.lerp(mean, bright, (1 + _uniform(x, self.contrast)).view(-1, 1, 1, 1)).clamp(0, 1)


def _luma(x: Tensor) -> Tensor:
    """The grey (n, 1, h, w) of images in colour, as torchvision weighs the channels (ITU-R 601); images of one channel as they are."""
    return x if x.shape[1] == 1 else (x * x.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def rotated_hue(x: Tensor, turns: Tensor) -> Tensor:
    """Images (n, 3, h, w) in 0..1 whose hue is turned by ``turns`` (n,) of the full circle; saturation and value stay."""
    red, green, blue = x.unbind(1)
    value = red.maximum(green).maximum(blue)
    chroma = value - red.minimum(green).minimum(blue)
    each = 1 / torch.where(chroma == 0, 1, chroma)
    lesser = torch.where(value == green, 2 + (blue - red) * each, 4 + (red - green) * each)
    hue = torch.where(value == red, (green - blue) * each, lesser) + 6 * turns.view(-1, 1, 1)
    # How far each channel is from where its value is the largest, in sixths of the circle.
    away = (hue[:, None] + x.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1)) % 6
    return value[:, None] - chroma[:, None] * away.minimum(4 - away).clamp(0, 1)


class PhotoJitter(Augment):
    """Change brightness, contrast, saturation and hue of each image, in a random order of its own: torchvision's ``ColorJitter``.

    Images of one channel have neither saturation nor hue; the result stays in 0..1.

    Args:
        brightness: the largest change of the factor on all values: 0.4 gives 0.6 to 1.4.
        contrast: the largest change of the factor on the distance from the mean of the grey image.
        saturation: the largest change of the factor on the distance from the grey image.
        hue: the largest turn of the hue, as a share of the full circle, up to 0.5.
    """

    moves = False

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0) -> None:
        super().__init__()
        _require(all(0 <= s <= 1 for s in (brightness, contrast, saturation)), "brightness, contrast and saturation are 0 to 1")
        _require(0 <= hue <= 0.5, "hue is 0 to 0.5")
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    def forward(self, x: Tensor) -> Tensor:
        """Change each image of a batch (n, 3, h, w) by the four factors, in an order drawn for it."""
        x = x.clone()
        changes = self._changes(x)
        # Drawn on the processor, as by RandAugment; and there a few images at a time, which its caches hold.
        order = torch.rand(len(x), len(changes)).argsort(1)
        for part in torch.split(torch.arange(len(x)), FEW if x.device.type == "cpu" else len(x)):
            for step in range(len(changes)):
                for number, (change, amount) in enumerate(changes):
                    if len(rows := part[order[part, step] == number]):
                        x[rows] = change(x[rows], amount[rows])
        return x

    def _changes(self, x: Tensor) -> list[tuple[Callable[[Tensor, Tensor], Tensor], Tensor]]:
        """What changes an image, each with an amount for each image; what is off is left out."""
        in_colour = x.shape[1] == len(LUMA)
        factors: list[tuple[Callable[[Tensor, Tensor], Tensor], float]] = [
            (_brighter, self.brightness), (_with_contrast, self.contrast), (_saturated, self.saturation * in_colour)
        ]  # fmt: skip
        changes = [(change, 1 + _uniform(x, limit)) for change, limit in factors if limit]
        return [*changes, (rotated_hue, _uniform(x, self.hue))] if self.hue and in_colour else changes


def _brighter(x: Tensor, factor: Tensor) -> Tensor:
    return (x * factor.view(-1, 1, 1, 1)).clamp_(0, 1)


def _with_contrast(x: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(_luma(x).mean((1, 2, 3), keepdim=True), x, factor.view(-1, 1, 1, 1)).clamp_(0, 1)


def _saturated(x: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(_luma(x), x, factor.view(-1, 1, 1, 1)).clamp_(0, 1)


class RandomGreyscale(Augment):
    """Take the colour out of some images, which keep their channels.

    Args:
        p: the probability.
    """

    moves = False

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        _require(0 <= p <= 1, "p is a probability, 0 to 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return _changed(x, torch.rand(len(x), 1, 1, 1, device=x.device) < self.p, lambda some: _luma(some).expand_as(some))


class Cutout(Augment):
    """Cover a square of each image with grey, at a random place that may lie partly outside (DeVries & Taylor, 2017).

    Args:
        size: the largest side of the square, as a share of the image's shorter side; each image draws its own.
        value: the grey, 0 to 1.
    """

    moves = False

    def __init__(self, size: float = 0.5, value: float = 0.5) -> None:
        super().__init__()
        _require(0 <= size <= 1 and 0 <= value <= 1, "size and value of Cutout are 0 to 1")
        self.size, self.value = size, value

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        side = self.size * min(height, width) * torch.rand(n, 1, device=x.device)
        rows, columns = (self._covered(length, side) for length in (height, width))
        return x.masked_fill((rows[:, :, None] & columns[:, None]).unsqueeze(1), self.value)

    @staticmethod
    def _covered(length: int, side: Tensor) -> Tensor:
        """Which pixels of a line of ``length`` are covered, (n, length), for squares of ``side`` (n, 1) in pixels."""
        middle = length * torch.rand_like(side)
        return (torch.arange(length, device=side.device) + 0.5 - middle).abs() < side / 2


class RandAugment(Augment):
    """Some augmentations of several on each image, drawn for it with repetition (Cubuk et al., NeurIPS 2020).

    The default ones are what FixMatch (Sohn et al., NeurIPS 2020, table 12) uses of rotation, shear, translation, brightness and
    contrast, at its strengths; each image draws its strength too, and none is mirrored.

    Args:
        number: how many each image gets.
        choices: the augmentations to draw from.
    """

    def __init__(self, number: int = 2, choices: Sequence[Augment] | None = None) -> None:
        super().__init__()
        _require(number >= 1 and (choices is None or len(choices) > 0), "RandAugment draws at least 1 of at least 1 choice")
        geometry = [RandomAffine(degrees=30), RandomAffine(shear=math.degrees(math.atan(0.3))), RandomAffine(translate=0.3)]
        default = [*geometry, ColourJitter(brightness=0.95), ColourJitter(contrast=0.95)]
        self.number, self.choices = number, torch.nn.ModuleList(default if choices is None else choices)

    def forward(self, x: Tensor) -> Tensor:
        """Change each image of a batch (n, c, h, w) ``number`` times, each time by a choice drawn for it."""
        x = x.clone()
        for _ in range(self.number):
            # Drawn on the processor, so that a GPU need not be waited for to know how many images a choice has.
            drawn = torch.randint(len(self.choices), (len(x),))
            for i, change in enumerate(self.choices):
                if len(rows := (drawn == i).nonzero().flatten()):
                    x[rows] = change(x[rows])
        return x


class RandomZoom(Augment):
    """Blow up a random box of each image to the image's own size: a random resized crop of a batch of one size, on its device.

    Args:
        scale: the least and the largest area of the box, as shares of the image's.
        ratio: the least and the largest width of the box over its height, before it is cut to what fits.
    """

    moves = True

    def __init__(self, scale: tuple[float, float] = (0.2, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)) -> None:
        super().__init__()
        _require(0 < scale[0] <= scale[1] <= 1, f"scale is {list(scale)}: two shares of the image's area, the smaller one first, up to 1")
        _require(0 < ratio[0] <= ratio[1], f"ratio is {list(ratio)}: two widths over heights above 0, the smaller one first")
        self.scale, self.ratio = tuple(scale), tuple(ratio)

    def forward(self, x: Tensor) -> Tensor:
        """Cut a part of its own out of each image, and bring it to the size."""
        area = self.scale[0] + (self.scale[1] - self.scale[0]) * torch.rand(len(x), device=x.device)
        low, high = map(math.log, self.ratio)
        lean = (low + (high - low) * torch.rand(len(x), device=x.device)).exp()
        width, height = (area * lean).sqrt().clamp_max(1), (area / lean).sqrt().clamp_max(1)
        zero, right, down = torch.zeros_like(area), _uniform(x, 1.0) * (1 - width), _uniform(x, 1.0) * (1 - height)
        boxes = torch.stack((torch.stack((width, zero, right), 1), torch.stack((zero, height, down), 1)), 1)
        return grid_sample(x, affine_grid(boxes, list(x.shape), align_corners=False).to(x.dtype), "bilinear", "border", align_corners=False)


STILL = {
    *("ColorJitter", "GaussianBlur", "GaussianNoise", "RandomAdjustSharpness", "RandomAutocontrast", "RandomEqualize", "RandomErasing"),
    "RandomGrayscale",
}
"""The transforms of torchvision's that leave every pixel in its place."""


class PerImage(Augment):
    """A transform of torchvision's (``torchvision.transforms.v2``), drawn anew for each image of a batch, on its device.

    Args:
        transform: its name, such as ``GaussianBlur``.
        options: its options by name.
        p: the probability that an image is changed.

    Raises:
        UserError: there is no such transform, it does not take the options, or it gives images of another size for each.
    """

    def __init__(self, transform: str, options: dict[str, Any] | None = None, p: float = 1.0) -> None:
        super().__init__()
        from torchvision.transforms import v2

        _require(0 <= p <= 1, "p is a probability, 0 to 1")
        known = {name: cls for name, cls in vars(v2).items() if isinstance(cls, type) and issubclass(cls, v2.Transform)}
        _require(transform in known, f"torchvision has no transform '{transform}'{near(transform, known)}")
        self.transform, self.options, self.p = transform, options, p
        self.moves = False if transform in STILL else None
        try:
            self.change: torch.nn.Module = known[transform](**(options or {}))
        except (TypeError, ValueError) as error:
            raise UserError(f"augmentation: {transform} cannot be made of {options} ({error}): see torchvision's options") from error

    def forward(self, x: Tensor) -> Tensor:
        """Change the images of a batch (n, c, h, w), one by one."""
        chosen = (torch.rand(len(x)) < self.p).tolist()
        images = [self.change(image) if change else image for image, change in zip(x, chosen, strict=True)]
        _require(len({image.shape for image in images}) == 1, f"{self.transform} gives images of several sizes: put RandomZoom after it")
        return torch.stack(images)


Views = Sequence[Augment] | None
"""What makes a view of an image, in order; None for what is usual."""


def small_views(views: Views) -> torch.nn.Sequential:
    """What makes a view of an image: ``views``, or a small affine map, brightness and contrast."""
    return torch.nn.Sequential(*((RandomAffine(8.0, 0.06, 0.1), ColourJitter(0.2, 0.2)) if views is None else views))
