"""Digits as they are spoken: by a synthesiser, and by people."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlda.data.cache import stored
from tlda.data.pair import DomainPair
from tlda.data.pooling import require_apart
from tlda.data.progress import progress
from tlda.data.rows import Domain, New, pooled
from tlda.data.sound.clips import Clips, in_bits, new_clips, read_clip, read_clips, require_length, sound_files
from tlda.errors import UserError, near
from tlda.options.recorded import Plain
from tlda.tasks import Classification

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""The classes, as espeak-ng says them."""

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
"""The speakers of the Free Spoken Digit Dataset."""

ACCENTS = ("en-gb", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbcwmd")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5")
"""The voices of espeak-ng that are drawn from: accents, and the timbres of men and women that every version has."""

CLIPS, TESTS = 2000, 500
"""The clips that are rendered to train on, and those that measure."""

FIRST = 5
"""The first recordings of each digit and speaker, which measure, as the set's authors have it."""

QUIET = 0.01
"""The share of the loudest sample below which the ends of a rendered clip are cut off, as the recordings are."""


class Spoken(DomainPair):
    """Two voices of the ten digits, as waves (n, t): ``espeak``, ``fsdd``, or a speaker of the latter.

    ``espeak`` is rendered by the program espeak-ng (Debian, Homebrew: ``espeak-ng``), once, with voices, speeds and pitches that are the
    same in every run: a source with nothing to download. ``fsdd`` has 3,000 recordings of six people (the Free Spoken Digit Dataset, in
    ``fsdd/recordings``), each of whom is a domain too: george, jackson, lucas, nicolas, theo and yweweler. Its authors' split is kept: the
    first five recordings of a digit and speaker measure, the other 45 train. A method takes the clips by ``--model.backbone
    Spectrogram``; files are read by ``soundfile`` (``tlda[sound]``).

    Args:
        source: the domain with labels, or several, which are pooled.
        target: the domain without, or several: a method adapts to all, and a test measures each.
        root: the folder of the data; by default that of ``TLDA_DATA``, else ``data``.
        rate: the samples per second; the recordings have 8,000.
        seconds: the length of a clip, which is cut or filled with silence at its end.
        unheard: whether all recordings of the target measure, its training ones too: for methods that do not adapt to it.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: an unknown domain; espeak-ng or the recordings are not there.
    """

    def __init__(
        self,
        source: str | list[str] = "espeak",
        target: str | list[str] = "fsdd",
        root: str | None = None,
        rate: int = 8000,
        seconds: float = 1.0,
        unheard: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_length(rate, seconds)
        self.sources, self.targets = (names if isinstance(names, list) else [names] for names in (source, target))
        for option, names in (("source", self.sources), ("target", self.targets)):
            if not names:
                raise UserError(f"--data.{option} names no domain: name one or more, as in [george, theo]")
        require_apart(self.sources, self.targets)
        self.unheard = bool(unheard)
        for name in (*self.sources, *self.targets):
            if name not in ("espeak", "fsdd", *SPEAKERS):
                raise UserError(f"there is no voice '{name}'{near(name, ('espeak', 'fsdd', *SPEAKERS))}")
        self.source, self.target, self.rate, self.seconds = "+".join(self.sources), "+".join(self.targets), rate, seconds
        self.root = Path(root or os.environ.get("TLDA_DATA") or "data")

    @property
    def task(self) -> Classification:
        task = self.classification(list(WORDS))
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    def load(self) -> tuple[Domain, Domain]:
        sources, targets = ([self._domain(name) for name in names] for names in (self.sources, self.targets))
        if self.unheard:
            targets = [Domain(domain.name, _joined(domain)) for domain in targets]
        return pooled(self.source, sources), pooled(self.target, targets)

    def _domain(self, name: str) -> Domain:
        if name == "espeak":
            return Domain(name, *rendered(self.rate, self.seconds))
        return Domain(name, *recorded(self.root / "fsdd" / "recordings", name, self.rate, self.seconds))

    def read_new(self, place: str, fitted: Plain) -> New:
        return new_clips(place, self.rate, self.seconds)


def _joined(domain: Domain) -> Clips:
    """All clips of a domain."""
    parts: list[Any] = domain.splits
    return Clips(*(torch.cat([getattr(part, name) for part in parts]) for name in ("waves", "labels")))


def recorded(folder: Path, name: str, rate: int, seconds: float) -> tuple[Clips, Clips]:
    """The recordings in ``DIGIT_SPEAKER_NUMBER.wav`` of one speaker, or of all where ``name`` is none, to train on and to measure.

    Raises:
        UserError: none is there.
    """
    found = [(path, match) for path in sound_files(folder) if (match := re.fullmatch(r"(\d)_(\w+)_(\d+)", path.stem))]
    found = [(path, match) for path, match in found if match[2] == name or name not in SPEAKERS]
    parts = [[(path, int(match[1])) for path, match in found if (int(match[3]) < FIRST) is tests] for tests in (False, True)]
    if not all(parts):
        raise UserError(f"there are no recordings of {name} in {folder}: put the Free Spoken Digit Dataset there, or give --data.root")
    train, test = (Clips(read_clips([path for path, _ in part], rate, seconds), torch.tensor([n for _, n in part])) for part in parts)
    return train, test


def rendered(rate: int, seconds: float) -> tuple[Clips, Clips]:
    """:data:`CLIPS` rendered clips to train on and :data:`TESTS` to measure, the classes in equal parts, from the cache or by espeak-ng."""
    parts = stored(
        f"spoken-1-{version()}-{rate}-{seconds:g}",
        lambda: {"train": _clips(CLIPS, 0, rate, seconds), "test": _clips(TESTS, 1, rate, seconds)},
    )
    return Clips(*parts["train"]), Clips(*parts["test"])


def version() -> str:
    """The version of espeak-ng.

    Raises:
        UserError: it is not installed.
    """
    if shutil.which("espeak-ng") is None:
        raise UserError("the domain espeak is rendered by the program espeak-ng, which is not installed: apt install espeak-ng")
    found = re.search(r"\d+[\d.]*\d", subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout)
    return found[0] if found else "unknown"


def _clips(count: int, seed: int, rate: int, seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    """``count`` clips (count, t) and their digits, in random order; a function of ``seed``."""
    random = np.random.default_rng(seed)
    labels = random.permutation(count) % len(WORDS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        waves = [_say(WORDS[label], random, path, rate, seconds) for label in progress("espeak-ng speaks", labels.tolist(), count)]
    return torch.stack(waves), torch.from_numpy(labels)


def _say(word: str, random: np.random.Generator, path: Path, rate: int, seconds: float) -> torch.Tensor:
    """A clip (t,) of ``word`` by a drawn voice, its ends cut where they are quiet, its loudest sample drawn too."""
    voice = f"{ACCENTS[random.integers(len(ACCENTS))]}+{VARIANTS[random.integers(len(VARIANTS))]}"
    speed, pitch = int(random.integers(110, 231)), int(random.integers(20, 81))
    subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(path), word], check=True, capture_output=True)
    wave = read_clip(path, rate, 4.0)
    loud = np.flatnonzero(np.abs(wave) > QUIET * np.abs(wave).max())
    cut = wave[loud[0] : loud[-1] + 1][: round(rate * seconds)]
    return in_bits(np.pad(cut / np.abs(cut).max() * random.uniform(0.2, 0.9), (0, round(rate * seconds) - len(cut))))
