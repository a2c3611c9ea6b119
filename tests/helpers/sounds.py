"""Sounds as files: tones of two heights in two rooms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile


def write_sound(path: Path, hertz: float = 440.0, rate: int = 8000, seconds: float = 0.1, channels: int = 1) -> Path:
    """A tone of half the greatest loudness in each channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)
    soundfile.write(path, np.stack([wave] * channels, 1), rate)
    return path


def write_rooms(root: Path, count: int = 4) -> None:
    """Domains studio and street, each with low and high tones, as wav and as flac."""
    for room, ending in (("studio", "wav"), ("street", "flac")):
        for name, hertz in (("low", 300.0), ("high", 2000.0)):
            for number in range(count):
                write_sound(root / room / name / f"{number}.{ending}", hertz + 10 * number)
