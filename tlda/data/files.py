"""Readers of the files that data sets come in, each to bytes (n, c, h, w) and classes (n,)."""

from __future__ import annotations

import bz2
import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from tlda.data.arrays import Images, Splits, checked
from tlda.errors import UserError, warn

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

Key = TypeVar("Key", bound=Hashable)

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
"""The endings of image files; other files among them are left alone."""

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
"""The formats that Pillow opens such files in: its other readers, some of which run other programs, are not tried."""

SYSTEM_FOLDERS = frozenset({"__macosx", "@eadir", "@recycle", "#recycle", "$recycle.bin", "lost+found", "system volume information"})
"""Folders that operating systems and file servers leave behind, in lower case."""

DAMAGED = (
    *(OSError, EOFError, ValueError, LookupError, SyntaxError, TypeError, ArithmeticError, MemoryError, RuntimeError),
    *(struct.error, zlib.error, tarfile.TarError),
)
"""The errors that readers raise where a file is damaged."""

TURNS = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip
"""By EXIF's orientation, the transposition of Pillow that makes an image upright; 1 is upright already."""

TRANSPOSED = 5
"""From this orientation on, height and width change places."""


@contextmanager
def reading(path: Path, advice: str = "get it again") -> Iterator[None]:
    """Whatever a damaged file, or an image too large to decode, raises becomes one sentence with its name and ``advice``."""
    from PIL import Image

    try:
        yield
    except (*DAMAGED, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}): it is cut short, too large or not what its name says; {advice}") from error


def is_hidden(name: str) -> bool:
    """Whether a file or a folder of this name is hidden, or is one that a system made for itself."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def image_files(folder: Path) -> list[Path]:
    """The image files below ``folder``, by name; those with a hidden part in their path, and other kinds of files, are left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in found if not any(map(is_hidden, path.relative_to(folder).parts)))


def by_name(paths: Iterable[Path], name: Callable[[Path], Key]) -> dict[Key, Path]:
    """The ``paths`` by what ``name`` gives of each.

    Raises:
        UserError: two have one name.
    """
    found: dict[Key, Path] = {}
    for path in paths:
        if (other := found.setdefault(name(path), path)) is not path:
            raise UserError(f"{other} and {path} have one name: rename one")
    return found


def below(folder: Path) -> Callable[[Path], Path]:
    """What gives the place of a file in ``folder``, without its ending."""
    return lambda path: path.relative_to(folder).with_suffix("")


def text_of(path: Path) -> str:
    """The text of a file in UTF-8, without the mark that editors of Windows put before it.

    Raises:
        UserError: it is in another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not in UTF-8: save it as UTF-8") from error


def of_one_part(folder: Path, paths: Sequence[Path]) -> Sequence[Path]:
    """The ``paths`` below ``folder``, with a warning where it keeps a training set and a test set apart, which are then pooled."""
    found = sorted({path.relative_to(folder).parts[0] for path in paths} & {"train", "val", "valid", "test"})
    if len(found) > 1:
        warn(
            f"{folder} has {' and '.join(found)} in it, whose images are pooled: where one is to measure, give the domain folders "
            f"train and test, each with {folder.name} of its own"
        )
    return paths


def decode(file: Path | bytes, turned: bool = True) -> Picture:
    """The PIL image of a file, in RGB; raises what PIL raises.

    Args:
        file: its path or its bytes.
        turned: make it upright by the orientation in its EXIF data; else it stays as its pixels are stored.
    """
    from PIL import Image

    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS) as image:
        return upright(image) if turned else in_rgb(image)


def shape_of(file: Path, turned: bool = True) -> tuple[int, int]:
    """The height and width of the image that :func:`decode` gives; of most files the header alone is read."""
    from PIL import Image

    with Image.open(file, formats=FORMATS) as image:
        # Pillow turns a TIFF as it decodes it; to look for the orientation of a PNG it would decode that too.
        on_its_side = (turned or image.format == "TIFF") and orientation(image) >= TRANSPOSED
        return image.size if on_its_side else image.size[::-1]


def is_turned(file: Path) -> bool:
    """Whether :func:`decode` turns an image, and leaves it lying where it is told to; the header alone is read."""
    from PIL import Image

    try:
        with Image.open(file, formats=FORMATS) as image:
            # Pillow turns a TIFF in either case. PNG's own `getexif` decodes the image to look behind it.
            return image.format != "TIFF" and Image.Image.getexif(image).get(0x0112, 1) in TURNS
    except (*DAMAGED, Image.DecompressionBombError):  # who decodes it says so
        return False


def orientation(image: Picture) -> int:
    """How the pixels of a PIL image are stored: 1 upright, 2 to 8 as in :data:`TURNS`."""
    if image.format == "TIFF":
        image.load()  # which turns it, and takes the orientation out of it
    try:
        found = image.getexif().get(0x0112, 1)
    except DAMAGED:  # the pixels are there all the same
        return 1
    return found if found in TURNS else 1


def upright(image: Picture, mode: Literal["RGB", "L"] = "RGB") -> Picture:
    """A PIL image of any mode in RGB, or a grey one in L, turned as its EXIF data say."""
    from PIL import Image

    turn = TURNS.get(orientation(image))
    converted = in_rgb(image) if mode == "RGB" else image.convert(mode)
    return converted.transpose(Image.Transpose[turn]) if turn else converted


def in_rgb(image: Picture) -> Picture:
    """A PIL image of any mode, in RGB.

    Raises:
        ValueError: numbers that do not say what is black and what is white.
    """
    from PIL import Image

    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_as_bytes(np.asarray(image))).convert("RGB")
    # A palette with transparency goes through RGBA, as PIL asks for.
    return (image.convert("RGBA") if "transparency" in image.info else image).convert("RGB")


def _as_bytes(values: Any) -> Any:
    """Bytes of an array of floats in 0..1, or of whole numbers of 16 bits, either of which PIL would clip."""
    low, high = values.min(), values.max()
    if values.dtype.kind == "f":
        if not 0 <= low <= high <= 1:
            raise ValueError(f"it has floats from {low:g} to {high:g}, and black is 0 and white is 1: save it with 8 bits a channel")
        return np.rint(255 * values).astype(np.uint8)
    if not 0 <= low <= high < 2**16:
        raise ValueError(f"it has whole numbers from {low} to {high}, which are not 16 bits: save it with 8 bits a channel")
    if 0 < high < 2**12:
        raise ValueError(f"its 16 bits are filled up to {high} only, and it would be all but black: save it with 8 bits a channel")
    return (values >> 8).astype(np.uint8)


def pixels(image: Picture) -> Tensor:
    """Bytes (c, h, w) of a PIL image in RGB or grey."""
    return torch.from_numpy(np.atleast_3d(np.array(image))).permute(2, 0, 1).contiguous()


def idx(path: Path) -> Tensor:
    """The bytes of an IDX file (MNIST's format), gzipped or not, in its own shape."""
    with reading(path):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
            raise ValueError("not an IDX file of bytes")
        shape = np.frombuffer(data, ">u4", data[3], 4).tolist()
        return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape).copy())


def idx_images(images: Path, labels: Path) -> Images:
    """Grey images and their classes, of two IDX files."""
    values, classes = idx(images), idx(labels)
    with reading(images):
        if values.ndim != 3:
            raise ValueError(f"it has {values.ndim} dimensions, and images have 3: their number, height and width")
    if classes.ndim == 1 and len(classes) != len(values):
        raise UserError(f"{images} has {len(values)} images, but {labels} has {len(classes)} labels: get both again")
    with reading(labels):
        return checked(values[:, None], classes, 10)


def usps_hdf5(path: Path) -> Splits:
    """The USPS file ``usps.h5``: 16 x 16 floats in 0..1 under ``train`` and ``test``."""
    import h5py

    with reading(path), h5py.File(path) as file:
        return Splits(*(_floats(file[part]["data"][:], file[part]["target"][:]) for part in ("train", "test")))


def usps_libsvm(path: Path) -> Images:
    """A USPS file of LIBSVM: lines of ``LABEL 1:VALUE … 256:VALUE``, classes from 1, values in -1..1, 0 where an index is left out."""
    with reading(path):
        rows = [line.split() for line in bz2.decompress(path.read_bytes()).decode().splitlines() if line.strip()]
        values = np.zeros((len(rows), 256), dtype=np.float32)
        for number, row in enumerate(rows):
            places, numbers = zip(*(pair.split(":") for pair in row[1:]), strict=True)
            indices = np.array(places, dtype=np.int64)
            if not 1 <= indices.min() <= indices.max() <= 256 or len(set(places)) < len(places):
                raise ValueError(f"line {number + 1} has an index twice, or one that is not 1 to 256")
            values[number, indices - 1] = np.array(numbers, dtype=np.float32)
        return _floats((values + 1) / 2, np.array([float(row[0]) - 1 for row in rows]))


def _floats(values: Any, labels: Any) -> Images:
    """Images (n, 1, 16, 16) of floats in 0..1, which a rounding may have put a little beside."""
    if values.ndim < 2 or values.size != 256 * len(values):
        raise ValueError(f"its images are {values.shape}, and are not 16 x 16")
    # A comparison with NaN is false.
    if not (values.min() >= -1e-3 and values.max() <= 1 + 1e-3):
        raise ValueError(f"its values are {values.min():g} to {values.max():g}, and not within the range of USPS")
    images = torch.from_numpy(np.rint(255 * values.clip(0, 1)).astype(np.uint8)).view(-1, 1, 16, 16)
    return checked(images, torch.from_numpy(column(labels)), 10)


def svhn(path: Path) -> Images:
    """A cropped-digit file of SVHN: MATLAB, ``X`` (32, 32, 3, n), ``y`` (n, 1) in which 10 is the digit 0."""
    with reading(path):
        data = matlab(path, "X", "y")
        if data["X"].ndim != 4 or data["X"].dtype != np.uint8 or data["X"].shape[:3] != (32, 32, 3):
            raise ValueError(f"X is {data['X'].shape} of {data['X'].dtype}, and not (32, 32, 3, n) of bytes")
        images = torch.from_numpy(np.ascontiguousarray(data["X"].transpose(3, 2, 0, 1)))
        found = checked(images, torch.from_numpy(column(data["y"]).astype(np.float64)), 11)
        return Images(found.images, found.labels % 10)


def column(values: NDArray[Any]) -> NDArray[Any]:
    """An array (n,) of one (n, 1) or (1, n), as MATLAB keeps it."""
    return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values


def matlab(path: Path, *names: str) -> dict[str, Any]:
    """The variables of a MATLAB file; a ValueError where it is none, or lacks one of ``names``."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        found = dict(loadmat(str(path)))
    except NotImplementedError as error:
        raise ValueError("it is of MATLAB 7.3: load it in MATLAB, and save it with -v7") from error
    except MatReadError as error:
        raise ValueError(str(error)) from error
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"it has no variable {missing[0]}")
    return found


def mnist_m(path: Path) -> Splits:
    """MNIST-M, ``mnist_m.tar.gz`` or its folder: PNG files, and a list of ``NAME LABEL`` for each part that is there."""
    images: dict[str, Tensor] = {}
    lists: dict[str, str] = {}
    with reading(path):
        for name, data in _contents(path):
            if name.endswith(".png"):
                images[name] = pixels(decode(data, turned=False))
            elif name.endswith("_labels.txt"):
                lists[name.removesuffix("_labels.txt")] = data.decode()
        if "mnist_m_train" not in lists:
            raise ValueError("there is no mnist_m_train_labels.txt in it")
        test = _listed(images, "mnist_m_test", lists["mnist_m_test"]) if "mnist_m_test" in lists else None
        return Splits(_listed(images, "mnist_m_train", lists["mnist_m_train"]), test)


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files of an archive or a folder that are not hidden: their names below ``mnist_m``, and their bytes."""
    if path.is_dir():
        found = ((file.relative_to(path), file) for file in sorted(path.rglob("*")) if file.is_file())
        yield from ((name.as_posix(), file.read_bytes()) for name, file in found if not any(map(is_hidden, name.parts)))
    else:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                hidden = any(map(is_hidden, Path(member.name.removeprefix("./")).parts))
                if not hidden and (contents := archive.extractfile(member)) is not None:
                    yield member.name.removeprefix("./").removeprefix("mnist_m/"), contents.read()


def _listed(images: dict[str, Tensor], part: str, lines: str) -> Images:
    pairs = [line.split() for line in lines.splitlines() if line.strip()]
    if bad := next((number for number, pair in enumerate(pairs, 1) if len(pair) != 2), 0):
        raise ValueError(f"line {bad} of {part}_labels.txt is not NAME LABEL")
    names = [f"{part}/{name}" for name, _ in pairs]
    if missing := [name for name in names if name not in images]:
        raise ValueError(f"{missing[0]} is on its list and not in it")
    if odd := [name for name in names if images[name].shape != images[names[0]].shape]:
        raise ValueError(f"{odd[0]} has another size than {names[0]}")
    return checked(torch.stack([images[name] for name in names]), torch.tensor([float(label) for _, label in pairs]), 10)
