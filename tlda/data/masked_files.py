"""Image files, each with a file that has the class of every pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tlda.batch import ONE_DOMAIN, Sample
from tlda.data.cache import size_limit
from tlda.data.files import FORMATS, reading, shape_of
from tlda.data.sized_files import SizedFiles
from tlda.errors import UserError

VOID = 255
"""A pixel without a class, in the bytes of a mask; in a batch it is -1."""

Value = int | tuple[int, int, int]
"""How a mask writes a class: a number, or a colour."""


def read_mask(path: Path, values: Mapping[Value, int]) -> Tensor:
    """The class of each pixel of a mask, bytes (h, w).

    Args:
        path: an image of 8 bits.
        values: the class, or :data:`VOID`, by the number or the colour that stands for it.

    Raises:
        UserError: the file is damaged, or has more than 8 bits; a value that stands for nothing.
    """
    coloured = isinstance(next(iter(values)), tuple)
    numbers, has_colours = mask_values(path, coloured)
    if has_colours and not coloured:
        raise UserError(f"{path} has colours, and --data.classes has numbers: give the colour of each class, as road: [128, 64, 128]")
    table = {_number(value): label for value, label in values.items()}
    kinds, inverse = np.unique(numbers, return_inverse=True)
    if unknown := [int(kind) for kind in kinds if int(kind) not in table]:
        line, column = (int(place[0]) for place in np.nonzero(numbers == unknown[0]))
        what = f"the {'colour' if coloured else 'number'} {written(unknown[0], coloured)}"
        raise UserError(
            f"{path} has {what} at line {line}, column {column}, which is neither in --data.classes nor in --data.void: add it there"
        )
    return torch.from_numpy(np.array([table[int(kind)] for kind in kinds], dtype=np.uint8)[inverse.reshape(numbers.shape)])


def mask_values(path: Path, as_colours: bool = False) -> tuple[npt.NDArray[np.int64], bool]:
    """The number of each pixel of a mask (h, w), and whether the numbers are those of colours, 65536 r + 256 g + b.

    Args:
        path: an image of 8 bits.
        as_colours: whether greys and palettes are read as colours too.

    Raises:
        UserError: the file is damaged, or has more than 8 bits.
    """
    from PIL import Image

    with reading(path), Image.open(path, formats=FORMATS) as image:
        # Pillow reads colours of 16 bits as their upper halves; how the file has them is in its tiles.
        raw = next((str(tile[3]) for tile in image.tile), "")
        deep = image.mode.startswith(("I", "F")) or ";16" in raw
        mode = f"{image.mode}, {raw}"
        opaque = {"LA": "L", "PA": "P", "RGBA": "RGB"}.get(image.mode, image.mode)
        found = np.asarray(image if deep else image.convert("RGB" if as_colours else opaque))
    if deep:
        raise UserError(
            f"{path} is a mask of more than 8 bits (Pillow's mode {mode}): save it with 8 bits, a class number or a colour a pixel"
        )
    if found.ndim == 3 and not as_colours and bool((found == found[..., :1]).all()):
        found = found[..., 0]
    if found.ndim == 2:
        return found.astype(np.int64), False
    return found[..., :3].astype(np.int64) @ np.array([65536, 256, 1]), True


def written(number: int, coloured: bool) -> str:
    """A number of :func:`mask_values` as options have it."""
    return str([number >> 16, number >> 8 & 255, number & 255] if coloured else number)


def require_same_size(mask: Path, shape: tuple[int, ...], image: Path) -> None:
    """Raise :class:`UserError` where a mask of ``shape`` (height, width) and its image have different sizes."""
    with reading(image):
        size = shape_of(image, turned=False)
    if size != tuple(shape):
        sizes = f"{shape[0]} x {shape[1]}, and its image {image} is {size[0]} x {size[1]}"
        raise UserError(f"the mask {mask} is {sizes} (height x width): give both one size")


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 65536 * value[0] + 256 * value[1] + value[2]


@dataclass
class MaskedFiles(SizedFiles):
    """Images with masks: a row is an image (3, h, w) of bytes, and its label a map (h, w) of classes, -1 where there is none.

    Both are brought to one size, an image bilinearly and antialiased, a mask by its nearest pixels. They are decoded once, into memory
    maps in the cache, where that holds them.
    """

    images: Sequence[Path]
    masks: Sequence[Path | None]
    size: tuple[int, int]
    values: Mapping[Value, int]
    fields: Sequence[Path] = ()
    """Where there are any, an image for each mask; the pixels that are black in it are void."""
    multiple: int | None = None
    """Where there is one, each image and mask keeps its own size, cut down to multiples of it by resizing, and is read when it is asked
    for."""

    @cached_property
    def labels(self) -> Tensor:
        """Whether each image has a mask: 0, or -1 where it has none, (n,)."""
        return torch.tensor([-1 if mask is None else 0 for mask in self.masks], dtype=torch.long)

    def __getitem__(self, rows: Tensor) -> Sample:
        x, y = (part[rows] if isinstance(part, Tensor) else self._stacked(part, rows) for part in self.parts)
        labels = y.long()
        return Sample(x, labels.masked_fill(labels == VOID, -1), rows, ONE_DOMAIN)

    @staticmethod
    def _stacked(read: Callable[[int], Tensor], rows: Tensor) -> Tensor:
        found = [read(row) for row in rows.tolist()]
        sizes = list(dict.fromkeys(f"{each.shape[-2]} x {each.shape[-1]}" for each in found))
        if len(sizes) > 1:
            raise UserError(f"a batch has images of {' and '.join(sizes[:2])}, each its own: give --data.eval_batch_size 1")
        return torch.stack(found)

    def brought_to(self, own: tuple[int, int]) -> tuple[int, int]:
        if self.multiple is None:
            return self.size
        height, width = (max(1, length // self.multiple) * self.multiple for length in own)
        return height, width

    @cached_property
    def parts(self) -> tuple[Tensor, Tensor] | tuple[Callable[[int], Tensor], Callable[[int], Tensor]]:
        """All images (n, 3, h, w) and all masks (n, h, w) in bytes, or what reads one where the cache does not hold them."""
        if self.multiple is not None or 4 * len(self) * self.size[0] * self.size[1] > size_limit():
            return self.image, self.mask
        return self.kept("images", self.image), self.kept("masks", self.mask)

    def mask(self, row: int) -> Tensor:
        """The mask of a row, bytes (h, w); void all over where it has none.

        Raises:
            UserError: it has another size than its image, see also :func:`read_mask`.
        """
        from PIL import Image

        image, path = self.images[row], self.masks[row]
        if path is None:
            with reading(image):
                return torch.full(self.brought_to(shape_of(image, turned=False)), VOID, dtype=torch.uint8)
        found = read_mask(path, self.values)
        require_same_size(path, found.shape, image)
        if self.fields:
            field = mask_values(self.fields[row], True)[0]
            require_same_size(self.fields[row], field.shape, image)
            found[torch.from_numpy(field == 0)] = VOID
        height, width = self.brought_to((found.shape[0], found.shape[1]))
        return torch.from_numpy(np.array(Image.fromarray(found.numpy()).resize((width, height), Image.Resampling.NEAREST)))

    @property
    def way(self) -> str:
        size = self.size if self.multiple is None else f"own, by {self.multiple}"
        return f"{size} {sorted((_number(value), label) for value, label in self.values.items())}"

    def files(self) -> Iterator[Path]:
        yield from self.images
        yield from (path for path in self.masks if path is not None)
        yield from self.fields
