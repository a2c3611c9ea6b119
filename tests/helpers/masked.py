"""A tiny data set of images with masks, and a tiny network of feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tlda.backbones import Backbone
from tlda.data import Domain, DomainPair, Masks
from tlda.data.masked_files import MaskedFiles

NAMES = ["ground", "sky"]


class TinyDense(Backbone):
    """Rows of positions at stride 2: one convolution, with BatchNorm or without."""

    channels, size, stride = 3, 8, 2

    def __init__(self, num_features: int = 8, batch_norm: bool = True) -> None:
        super().__init__(num_features)
        norm = nn.BatchNorm2d(num_features) if batch_norm else nn.Identity()
        self.layers = nn.Sequential(nn.Conv2d(3, num_features, 2, 2), norm, nn.ReLU())

    def features(self, x: Tensor) -> Tensor:
        rows: Tensor = self.layers(x).permute(0, 2, 3, 1).flatten(0, 2)
        return rows


def mirrored(backbone: TinyDense) -> TinyDense:
    """``backbone``, which now sees an image and its mirror image alike."""
    layer: Any = backbone.layers[0]
    layer.weight.data += layer.weight.data.flip(3)
    return backbone


def scene(sky: int, dark: float, random: np.random.Generator) -> tuple[Any, Any]:
    """An image of 8 x 8, bright above line ``sky`` and dark below, and its mask."""
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[:sky] = 1
    light = np.where(mask[..., None] == 1, 200, 60) + random.normal(0, 20, (8, 8, 3))
    return (dark * light).clip(0, 255).astype(np.uint8), mask


def write_masks(root: Path, domains: Sequence[str] = ("source", "target"), count: int = 6, masks: bool = True) -> Path:
    """``count`` images of 8 x 8 for each of ``domains``, each darker than the one before."""
    random = np.random.default_rng(0)
    for number, domain in enumerate(domains):
        for kind in ("images", "masks"):
            (root / domain / kind).mkdir(parents=True)
        for i in range(count):
            image, mask = scene(2 + i % 5, 0.6**number, random)
            Image.fromarray(image).save(root / domain / "images" / f"{i}.png")
            Image.fromarray(mask).save(root / domain / "masks" / f"{i}.png")
    return root


def turn(path: Path) -> None:
    """Say in the EXIF data of an image that it lies on its side."""
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(path, exif=exif)


def write_streets(root: Path) -> None:
    """Two images of 8 x 16 for each part of GTA5 and of Cityscapes, clear and in fog of two kinds, with masks of all numbers."""
    random = np.random.default_rng(0)
    names = [("gta5/images", "gta5/labels", "0000{}.png", "0000{}.png")]
    for part in ("train/ulm", "val/bonn"):
        town = part.split("/")[1]
        for kind, fogs in (("leftImg8bit", [""]), ("leftImg8bit_foggy", ["_foggy_beta_0.02", "_foggy_beta_0.005"])):
            images, masks = f"cityscapes/{kind}/{part}", f"cityscapes/gtFine/{part}"
            names += [(images, masks, f"{town}_{{}}_leftImg8bit{fog}.png", f"{town}_{{}}_gtFine_labelIds.png") for fog in fogs]
    for images, masks, image, mask in names:
        for number in range(2):
            for folder, name, shape, most in ((images, image, (8, 16, 3), 256), (masks, mask, (8, 16), 34)):
                (root / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(random.integers(0, most, shape, dtype=np.uint8)).save(root / folder / name.format(number))


class Scenes(Masks):
    """The same, in memory."""

    def __init__(self, n: int = 24, steps: int | None = 4, dark: float = 0.5, **kwargs: Any) -> None:
        super().__init__(classes=list(NAMES), size=8, stride=2, batch_size=4, steps=steps, **kwargs)
        self.n, self.dark = n, dark

    def load(self) -> tuple[Domain, Domain]:
        return Domain("source", self._made(1.0, 0)), Domain("target", self._made(self.dark, 1))

    def _made(self, dark: float, seed: int) -> InMemory:
        random = np.random.default_rng(seed)
        pairs = [scene(2 + i % 5, dark, random) for i in range(self.n)]
        paths = [Path(f"{i}.png") for i in range(self.n)]
        return InMemory(paths, list(paths), (8, 8), self.values, pairs)


class Clues(Scenes):
    """Blocks of 2 x 2 pixels whose red tells the class; in the target, where half of the blocks lack it, their blue does too."""

    def __init__(self, steps: int = 25, target_seed: int = 1, n: int = 8) -> None:
        super().__init__(n, steps)
        self.batch_size, self.target_seed = n, target_seed

    def _made(self, dark: float, seed: int) -> InMemory:
        is_target, random = dark < 1, np.random.default_rng(self.target_seed if dark < 1 else 0)
        blocks = random.integers(0, 2, (self.n, 4, 4))
        red, blue = blocks - 0.5, is_target * (blocks - 0.5)
        red[is_target & (random.random(blocks.shape) < 1 / 2)] = 0
        light = np.stack((red, np.zeros_like(red), blue), -1).repeat(2, 1).repeat(2, 2)
        images = (128 + 120 * light + random.normal(0, 12, light.shape)).clip(0, 255).astype(np.uint8)
        paths = [Path(f"{i}.png") for i in range(self.n)]
        masks = blocks.astype(np.uint8).repeat(2, 1).repeat(2, 2)
        return InMemory(paths, list(paths), (8, 8), self.values, list(zip(images, masks, strict=True)))


class InMemory(MaskedFiles):
    """Images and masks that are no files."""

    def __init__(self, images: Any, masks: Any, size: tuple[int, int], values: Any, pairs: list[tuple[Any, Any]]) -> None:
        super().__init__(images, masks, size, values)
        pictures, maps = zip(*pairs, strict=True)
        self.parts = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), torch.from_numpy(np.stack(maps))
        self.digest = self.content = f"{len(pairs)}"


def setup(data: DomainPair) -> DomainPair:
    """``data``, ready for a fit of a source and a target."""
    data.setup("fit")
    return data
