"""The logarithm of a mel spectrogram, as librosa computes it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

FLOOR = 1e-6
"""What is added to a power, so that silence has a logarithm."""

BREAK, STEP = 1000.0, math.log(6.4) / 27
"""Slaney's scale: 3/200 mel per hertz up to 1,000 Hz, then logarithmic."""


def to_mel(hertz: float) -> float:
    """Slaney's mel of a frequency in hertz."""
    return hertz * 3 / 200 if hertz < BREAK else 15 + math.log(hertz / BREAK) / STEP


def to_hertz(mel: Tensor) -> Tensor:
    """The frequencies in hertz of Slaney's mels, (k,)."""
    return torch.where(mel < 15, mel * 200 / 3, BREAK * ((mel - 15) * STEP).exp())


def mel_filters(rate: int, window: int, bins: int) -> Tensor:
    """Triangular filters (``bins``, ``window // 2 + 1``) of equal area from 0 Hz to half the ``rate``, those of ``librosa.filters.mel``."""
    frequencies = torch.linspace(0, rate / 2, window // 2 + 1, dtype=torch.double)
    edges = to_hertz(torch.linspace(0, to_mel(rate / 2), bins + 2, dtype=torch.double))
    widths = edges.diff()[:, None]
    ramps = edges[:, None] - frequencies
    rising, falling = -ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]
    return (torch.minimum(rising, falling).clamp_min(0) * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


def log_mel(waves: Tensor, filters: Tensor, hop: int) -> Tensor:
    """The natural logarithm of the mel power spectrogram of waves (n, t), (n, bins, 1 + t // hop).

    Windows are Hann's, centred on every ``hop``-th sample, and the ends are filled with zeros, as in ``librosa.feature.melspectrogram``.

    Args:
        waves: (n, t), from -1 to 1.
        filters: those of :func:`mel_filters`, on the device of the waves.
        hop: the samples from one window to the next.
    """
    window = 2 * (filters.shape[1] - 1)
    hann = torch.hann_window(window, device=waves.device)
    with torch.autocast(waves.device.type, enabled=False):
        spectrum = torch.stft(waves.float(), window, hop, window=hann, center=True, pad_mode="constant", return_complex=True)
        return (filters @ spectrum.abs().square() + FLOOR).log()
