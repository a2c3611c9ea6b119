"""Digits over photographs: the recipe of MNIST-M (Ganin et al., JMLR 2016, sec. 5.2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from tlda.data.arrays import Images
from tlda.data.files import decode, image_files, pixels, reading
from tlda.errors import UserError


def photographs(folder: str | None) -> list[Path]:
    """The image files of ``folder``, else the two photographs that scikit-learn ships."""
    if folder is None:
        import sklearn.datasets

        return image_files(Path(sklearn.datasets.__file__).parent / "images")
    if not (files := image_files(Path(folder))):
        raise UserError(f"there is no photograph in {folder}; give --data.photos the folder of some, such as BSDS500's images")
    return files


def blend(data: Images, photos: Sequence[Path], seed: int) -> Images:
    """``|patch - digit|`` by channel, each digit on a random patch of a random photograph; a function of ``seed``.

    Args:
        data: images (n, c, size, size), grey or in colour.
        photos: the files of the photographs, each at least ``size`` wide and high.
        seed: of the choice.

    Returns:
        Images (n, 3, size, size).
    """
    generator = torch.Generator().manual_seed(seed)
    choice = torch.randint(len(photos), (len(data),), generator=generator)
    result = torch.empty(len(data), 3, *data.images.shape[2:], dtype=torch.uint8)
    for number in choice.bincount().nonzero().flatten().tolist():
        rows = (choice == number).nonzero()[:, 0]
        with reading(photos[number]):
            photo = pixels(decode(photos[number]))
        patches = _patches(photo, len(rows), data.images.shape[-1], generator, photos[number])
        result[rows] = (patches.short() - data.images[rows].short()).abs_().to(torch.uint8)
    return Images(result, data.labels)


def _patches(photo: Tensor, count: int, size: int, generator: torch.Generator, path: Path) -> Tensor:
    if min(photo.shape[1:]) < size:
        raise UserError(f"the photograph {path} is smaller than {size} x {size}; take it out of --data.photos, or lower --data.size")
    windows = photo.unfold(1, size, 1).unfold(2, size, 1)
    y, x = (torch.randint(windows.shape[axis], (count,), generator=generator) for axis in (1, 2))
    return windows[:, y, x].transpose(0, 1)
