"""The log-mel spectrogram against librosa's numbers."""

from __future__ import annotations

import math

import pytest
import torch

from tlda.nn.log_mel import log_mel, mel_filters


def test_the_values_are_those_of_librosa() -> None:
    # librosa 0.11: log(melspectrogram(sr=8000, n_fft=512, hop_length=250, n_mels=32, pad_mode="constant") + 1e-6)
    time = torch.arange(2000, dtype=torch.double) / 8000
    wave = 0.5 * (2 * math.pi * 440 * time).sin() + 0.25 * (2 * math.pi * 1800 * time * (1 + time)).sin()
    found = log_mel(wave.float()[None], mel_filters(8000, 512, 32), 250)[0]
    assert found.shape == (32, 9)
    theirs = torch.tensor([-0.72838, -10.98831, -11.05109, -11.03163, -11.05078, -11.03184, -11.05065, -10.99638, -0.89512])
    torch.testing.assert_close(found[3], theirs, atol=2e-3, rtol=0.0)
    torch.testing.assert_close(found[20, :5], torch.tensor([-1.95232, -8.5938, -13.51299, -13.80031, -13.81409]), atol=2e-3, rtol=0.0)
    assert float(found.sum()) == pytest.approx(-2572.8877, abs=0.05)


def test_the_filters_are_those_of_librosa() -> None:
    filters = mel_filters(8000, 512, 32)
    assert float(filters.sum()) == pytest.approx(2.0476105, rel=1e-5)
    assert float(filters[30].max()) == pytest.approx(0.00391980, rel=1e-4)
