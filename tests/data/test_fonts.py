from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tlda.data import Digits, Images, fonts
from tlda.data.arrays import RECENT
from tlda.data.fonts import FACES, _font, render


def test_rendering_is_a_function_of_the_seed() -> None:
    first = render(60, seed=3)
    assert torch.equal(first.images, render(60, seed=3).images)
    assert not torch.equal(first.images, render(60, seed=4).images)
    assert first.labels.bincount().tolist() == [6] * 10
    assert first.images.shape == (60, 1, 28, 28)


def test_digits_are_white_on_black_and_inside_the_image() -> None:
    images = render(200, seed=0).images
    assert (images.flatten(1).max(1).values > 200).all()
    assert (images.flatten(1) == 0).float().mean(1).min() > 0.4
    border = torch.cat((images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]), -1)
    assert (border > 128).float().mean() < 0.01


def test_each_face_draws_ten_different_digits() -> None:
    for face in FACES:
        assert len({bytes(_font(face).getmask(str(digit))) for digit in range(10)}) == 10, face


@pytest.mark.slow
def test_fonts_are_rendered_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path))
    asked: list[tuple[int, int]] = []

    def few(count: int, seed: int) -> Images:
        asked.append((count, seed))
        return render(count // 100, seed)

    monkeypatch.setattr(fonts, "render", few)
    for _ in range(2):
        RECENT.kept.clear()
        source, _ = Digits("fonts", "handwritten", size=16).load()
    assert asked == [(8000, 0), (2000, 1)]
    assert source.test is not None
    assert (len(source.train), len(source.test)) == (80, 20)
    assert len(list(tmp_path.glob("fonts-*.pt"))) == 1
