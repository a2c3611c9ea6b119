"""Spoken digits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.sounds import write_sound
from tlda.data import Spoken
from tlda.data.sound.spoken import WORDS, _clips, _say
from tlda.errors import UserError


def test_the_first_five_recordings_measure(tmp_path: Path) -> None:
    for number in (0, 4, 5, 49):
        for digit in range(2):
            write_sound(tmp_path / "fsdd" / "recordings" / f"{digit}_theo_{number}.wav", seconds=0.2)
            write_sound(tmp_path / "fsdd" / "recordings" / f"{digit}_george_{number}.wav")
    theo, everyone = Spoken("theo", "fsdd", str(tmp_path), holdout=0.5).load()
    assert [len(part) for part in (theo.train, everyone.train)] == [4, 8]
    assert everyone.test is not None
    assert everyone.test.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert theo.train[torch.tensor([0])].x.shape == (1, 8000)


def test_several_speakers_are_measured_each_and_whole_where_none_is_heard(tmp_path: Path) -> None:
    for speaker in ("theo", "george", "lucas"):
        for number in (0, 5, 6):
            write_sound(tmp_path / "fsdd" / "recordings" / f"1_{speaker}_{number}.wav", seconds=0.2)
    data = Spoken("theo", ["george", "lucas"], str(tmp_path), unheard=True)
    assert data.transfer == "theo_to_george+lucas"
    target = data.load()[1]
    assert target.test is None  # so that all rows measure, and a method that sees labels holds some out
    assert len(target.train) == 6
    assert len(Spoken("theo", ["george", "lucas"], str(tmp_path)).load()[1].test or ()) == 2


def test_faults_are_one_sentence_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="there is no voice 'teo'; did you mean 'theo'"):
        Spoken("teo", "fsdd")
    with pytest.raises(UserError, match="there are no recordings of fsdd in"):
        Spoken("fsdd", "theo", str(tmp_path)).load()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="apt install espeak-ng"):
        Spoken("espeak", "fsdd", str(tmp_path)).load()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_rendered_clip_follows_from_its_seed(tmp_path: Path) -> None:
    one, two = (_say(WORDS[3], np.random.default_rng(0), tmp_path / "a.wav", 8000, 1.0) for _ in range(2))
    assert torch.equal(one, two)
    assert int(one[:80].abs().max()) > 0  # no silence at its beginning
    waves, labels = _clips(10, 0, 8000, 0.5)
    assert waves.shape == (10, 4000)
    assert sorted(labels.tolist()) == list(range(10))
