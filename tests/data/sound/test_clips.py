"""Reading sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.sounds import write_sound
from tlda.data.sound.clips import FULL, in_bits, read_clip, resampled
from tlda.errors import UserError


def test_channels_are_averaged_and_a_clip_is_cut_or_filled_at_its_end(tmp_path: Path) -> None:
    one = read_clip(write_sound(tmp_path / "a.wav"), 8000, 0.1)
    two = read_clip(write_sound(tmp_path / "b.wav", channels=2), 8000, 0.2)
    assert (one.shape, two.shape) == ((800,), (1600,))
    np.testing.assert_allclose(one, two[:800], atol=1e-4)
    assert not two[800:].any()
    np.testing.assert_array_equal(read_clip(tmp_path / "a.wav", 8000, 0.05), one[:400])


def test_another_rate_is_resampled(tmp_path: Path) -> None:
    low = read_clip(write_sound(tmp_path / "a.wav", hertz=200), 8000, 0.1)
    high = read_clip(write_sound(tmp_path / "b.flac", hertz=200, rate=22050), 8000, 0.1)
    assert high.shape == (800,)
    np.testing.assert_allclose(high[100:-100], low[100:-100], atol=0.01)
    assert resampled(low, 8000, 8000) is low


def test_a_clip_is_kept_in_sixteen_bits() -> None:
    assert in_bits(np.array([0.0, 0.5, 1.5, -1.5], dtype=np.float32)).tolist() == [0, FULL // 2, FULL - 1, -FULL]


def test_faults_are_one_sentence_each(tmp_path: Path) -> None:
    cut = write_sound(tmp_path / "cut.flac", seconds=1.0)
    cut.write_bytes(cut.read_bytes()[:40])
    with pytest.raises(UserError, match=r"cut\.flac cannot be read"):
        read_clip(cut, 8000, 1.0)
    with pytest.raises(UserError, match="is a sound of no length"):
        read_clip(write_sound(tmp_path / "none.wav", seconds=0.0), 8000, 1.0)
    with pytest.raises(UserError, match="there is no sound"):
        read_clip(tmp_path / "other.wav", 8000, 1.0)


def test_soundfile_that_is_not_there_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(UserError, match=r"pip install 'tlda\[sound\]'"):
        read_clip(tmp_path / "a.wav", 8000, 1.0)


def test_torch_reads_the_same_numbers(tmp_path: Path) -> None:
    wave = read_clip(write_sound(tmp_path / "a.wav"), 8000, 0.1)
    torch.testing.assert_close(in_bits(wave).float() / FULL, torch.from_numpy(wave), atol=1 / FULL, rtol=0.0)
