"""Clips of sound: files are read as one channel of one rate and length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlda.batch import Sample
from tlda.data.arrays import digest
from tlda.data.files import is_hidden
from tlda.data.progress import progress
from tlda.data.rows import New
from tlda.errors import UserError, lacking

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".aiff", ".aif"})
"""The endings of sound files; other files among them are left alone."""

UNKNOWN = -1
"""The class of a sound without a label."""

FULL = 2**15
"""What a sample of 1 is as a number of 16 bits."""


@dataclass
class Clips:
    """Clips (n, t) as numbers of 16 bits, and their classes (n,); a batch is in single precision, from -1 to 1."""

    waves: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.waves)

    def __getitem__(self, rows: Tensor) -> Sample:
        return Sample(self.waves[rows].float() / FULL, self.labels[rows], rows)

    @cached_property
    def digest(self) -> str:
        """A hash of every sample and label."""
        return digest((str(tuple(self.waves.shape)).encode(), self.waves, self.labels))

    @property
    def content(self) -> str:
        """The same: any change of a sample changes it."""
        return self.digest


def read_clips(paths: Sequence[Path], rate: int, seconds: float) -> Tensor:
    """The clips of files (n, t) as numbers of 16 bits, see :func:`read_clip`."""
    return torch.stack([in_bits(read_clip(path, rate, seconds)) for path in progress("sounds", paths, len(paths))])


def read_clip(path: Path, rate: int, seconds: float) -> NDArray[np.float32]:
    """The samples (t,) of a file at ``rate`` per second: the mean of its channels, resampled, and :func:`fitted` to ``seconds``.

    Raises:
        UserError: there is no such file; it is damaged, or empty.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the library that it binds is not there
        raise lacking("reading sounds", "soundfile", "sound") from error
    if not path.is_file():
        raise UserError(f"there is no sound {path}")
    try:
        samples, own = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise UserError(f"{path} cannot be read ({error}): it is cut short, or not what its name says; get it again") from error
    if not len(samples):
        raise UserError(f"{path} is a sound of no length: leave it out, or get it again")
    return fitted(resampled(samples.mean(1), own, rate), rate, seconds)


def resampled(wave: NDArray[np.float32], own: int, rate: int) -> NDArray[np.float32]:
    """A wave (t,) of ``own`` samples per second at ``rate``, by scipy's polyphase filter."""
    if own == rate:
        return wave
    from scipy.signal import resample_poly

    common = math.gcd(own, rate)
    found: NDArray[np.float32] = resample_poly(wave, rate // common, own // common).astype(np.float32)
    return found


def fitted(wave: NDArray[np.float32], rate: int, seconds: float) -> NDArray[np.float32]:
    """A wave (t,) cut, or filled with silence, at its end to ``seconds``."""
    length = round(rate * seconds)
    return np.pad(wave[:length], (0, max(0, length - len(wave))))


def in_bits(wave: NDArray[np.float32]) -> Tensor:
    """A wave (t,) as numbers of 16 bits; beyond 1 it is cut."""
    return torch.from_numpy((wave * FULL).round().clip(-FULL, FULL - 1).astype(np.int16))


def new_clips(place: str, rate: int, seconds: float) -> New:
    """The clips at ``place``, a file or a folder, without labels and named by their files.

    Raises:
        UserError: there is none.
    """
    paths = [Path(place)] if Path(place).is_file() else sound_files(Path(place))
    if not paths:
        raise UserError(f"there is no sound at {place}: give a wav or flac file, or a folder of some")
    return New(Clips(read_clips(paths, rate, seconds), torch.full((len(paths),), UNKNOWN)), [str(path) for path in paths])


def sound_files(folder: Path) -> list[Path]:
    """All sounds in ``folder`` and below it, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file() and not is_hidden(path.name))


def require_length(rate: int, seconds: float) -> None:
    """Raise :class:`UserError` where ``rate`` or ``seconds`` is none."""
    if rate < 1000 or not 0 < seconds < math.inf:
        raise UserError(
            f"--data.rate is {rate} and --data.seconds is {seconds}: a rate is 1000 samples per second or more, a length above 0 seconds"
        )
