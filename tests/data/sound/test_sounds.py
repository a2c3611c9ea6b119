"""One's own sounds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers.sounds import write_sound
from tests.helpers.toy import trainer
from tlda.backbones import LeNet, Spectrogram
from tlda.data import Sounds
from tlda.errors import UserError
from tlda.methods import SourceOnly
from tlda.optim import Adam


def rooms(root: str) -> Sounds:
    return Sounds(root, "studio", "street", rate=8000, seconds=0.1, holdout=0.5, batch_size=4, steps=12)


def test_a_clip_has_the_class_of_its_folder(sounds: str) -> None:
    source, target = rooms(sounds).loaded
    assert rooms(sounds).task.classes == ["high", "low"]
    assert source.train.labels.tolist() == [0] * 4 + [1] * 4
    assert target.train[torch.arange(8)].x.shape == (8, 800)
    assert rooms(sounds).describe_row(5).endswith("street/low/1.flac")


def test_tones_are_told_apart_in_another_room(sounds: str) -> None:
    torch.manual_seed(0)
    data = rooms(sounds)
    backbone = Spectrogram(LeNet(size=16, num_features=16, dropout=0.0))
    method = SourceOnly(backbone=backbone, task=data.task, optimizer=Adam(0.01))
    run = trainer(1)
    run.fit(method, data)
    _, measured = run.test(method, data, verbose=False)
    assert measured["test/target/accuracy"] == 1.0


def test_a_target_without_class_folders_has_no_labels(sounds: str, tmp_path: Path) -> None:
    write_sound(tmp_path / "new" / "a.wav")
    data = Sounds(sounds, "studio", str(tmp_path / "new"), rate=8000, seconds=0.1)
    assert data.loaded[1].train.labels.tolist() == [-1]
    assert data.read_new(str(tmp_path / "new"), None).names == [str(tmp_path / "new" / "a.wav")]


def test_faults_are_one_sentence_each(sounds: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        Sounds(sounds, "studio", "garden").task  # noqa: B018
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there is no sound in"):
        Sounds(sounds, "studio", str(tmp_path / "empty")).task  # noqa: B018
    write_sound(tmp_path / "other" / "low" / "a.wav")
    with pytest.raises(UserError, match="the class folders of the domains differ: not all have 'high'"):
        Sounds(sounds, "studio", str(tmp_path / "other")).task  # noqa: B018
    with pytest.raises(UserError, match="the source needs labels"):
        Sounds(sounds, str(tmp_path / "other"), "street").task  # noqa: B018
    with pytest.raises(UserError, match=r"--data\.seconds is 0"):
        Sounds(sounds, "studio", "street", seconds=0)
