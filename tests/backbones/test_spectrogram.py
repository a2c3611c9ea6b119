"""Waves as images."""

from __future__ import annotations

import pytest
import torch

from tests.helpers.toy import trainer
from tlda.backbones import LeNet, Spectrogram
from tlda.backbones.spectrogram import masked
from tlda.data import Sounds
from tlda.errors import UserError
from tlda.methods import DANN


def waves(n: int = 3) -> torch.Tensor:
    return torch.randn(n, 8000, generator=torch.Generator().manual_seed(0)) * 0.1


def test_an_image_fills_the_network_and_loudness_does_not_count() -> None:
    backbone = Spectrogram(LeNet(channels=3, size=40))
    images = backbone.images(waves())
    assert images.shape == (3, 3, 40, 40)
    assert float(images.mean()) == pytest.approx(0.5, abs=0.01)
    torch.testing.assert_close(backbone.images(3 * waves()), images, atol=2e-3, rtol=0.0)
    assert backbone(waves()).shape == (3, 500)
    assert backbone(backbone.example()).shape == (2, 500)


def test_low_tones_are_below() -> None:
    time = torch.arange(8000) / 8000
    low, high = ((6.2832 * hertz * time).sin()[None] for hertz in (200, 3000))
    rows = [int(Spectrogram(LeNet(size=32)).images(wave)[0, 0].mean(1).argmax()) for wave in (low, high)]
    assert rows[0] > 25
    assert rows[1] < 6


def test_masks_are_of_training_alone_and_no_wider_than_asked() -> None:
    backbone = Spectrogram(LeNet(size=32), mask_bins=6, mask_frames=6)
    assert not torch.equal(backbone.images(waves()), backbone.images(waves()))
    assert torch.equal(backbone.eval().images(waves()), backbone.images(waves()))
    torch.manual_seed(0)
    gone = [(masked(torch.ones(200, 8, 5), 3, 1) == 0).all(2).sum(1), (masked(torch.ones(200, 8, 5), 9, 2) == 0).all(1).sum(1)]
    assert sorted(set(gone[0].tolist())) == [0, 1, 2, 3]
    assert sorted(set(gone[1].tolist())) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (torch.zeros(2, 1, 28, 28), r"takes waves \(n, t\), these are \(2, 1, 28, 28\)"),
        (torch.zeros(2, 100), "have 100 samples, and a window"),
    ],
)
def test_other_inputs_are_refused(x: torch.Tensor, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Spectrogram(LeNet(size=32))(x)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match="at least one band is not masked"):
        Spectrogram(LeNet(size=32), mask_bins=32)


def test_sounds_of_another_rate_are_refused(sounds: str) -> None:
    data = Sounds(sounds, "studio", "street", rate=8000, seconds=0.1, holdout=0.5, batch_size=4, steps=1)
    method = DANN(backbone=Spectrogram(LeNet(size=16, num_features=8), rate=4000), task=data.task)
    with pytest.raises(UserError, match=r"reads 4000 samples per second, and the data have 8000: give --model\.backbone\.rate 8000"):
        trainer(max_steps=1).fit(method, data)
