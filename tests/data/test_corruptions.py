"""Corruptions: what each does to an image, that they follow the image's number alone, and their constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tlda.data import Digits, Images
from tlda.data.corruptions import CORRUPTIONS, Corrupted, cleaned, corrupt, plasma, require_corruption
from tlda.errors import UserError

EDGES = torch.zeros(6, 3, 32, 32)
EDGES[:, :, 8:24, 8:24] = 0.6
EDGES += 0.2 * torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
NUMBERS = torch.arange(6)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_follows_the_number_of_the_image_and_grows(kind: str) -> None:
    whole = corrupt(EDGES, f"{kind}5", NUMBERS)
    assert whole.shape == EDGES.shape
    assert whole.dtype == EDGES.dtype
    assert 0 <= whole.min() <= whole.max() <= 1
    assert torch.equal(corrupt(EDGES[3:5], f"{kind}5", NUMBERS[3:5]), whole[3:5])
    mild = corrupt(EDGES[:2], f"{kind}1", NUMBERS[:2])
    assert (whole[:2] - EDGES[:2]).abs().mean() > (mild - EDGES[:2]).abs().mean() or kind in ("elastic_transform", "snow", "pixelate")
    grey = (255 * EDGES[:1, :1]).byte()
    assert corrupt(grey, f"{kind}3", NUMBERS[:1]).dtype == torch.uint8


def flat(value: float, name: str, channels: int = 3) -> np.ndarray:
    found: np.ndarray = corrupt(torch.full((1, channels, 32, 32), value, dtype=torch.double), name, torch.tensor([7])).numpy()[0]
    return found


def test_noises_have_their_constants() -> None:
    assert flat(0.5, "gaussian_noise5").std() == pytest.approx(0.10, rel=0.05)
    assert flat(0.5, "shot_noise5").var() == pytest.approx(0.5 / 50, rel=0.1)
    salt = flat(0.5, "impulse_noise5")
    assert (salt != 0.5).mean() == pytest.approx(0.07, abs=0.015)
    assert (salt == 1).sum() == pytest.approx((salt == 0).sum(), rel=0.4)


def test_light_has_its_constants() -> None:
    np.testing.assert_allclose(flat(0.5, "brightness5"), 0.8)
    np.testing.assert_allclose(flat(0.0, "brightness5"), 0.3)
    coloured = corrupt(torch.tensor([0.4, 0.2, 0.0]).double().view(1, 3, 1, 1), "brightness5", torch.tensor([0])).flatten()
    np.testing.assert_allclose(coloured, [0.7, 0.35, 0.0])
    low = corrupt(EDGES[:1].double(), "contrast5", NUMBERS[:1])
    torch.testing.assert_close(low.std(), 0.15 * EDGES[:1].double().std(), atol=1e-3, rtol=0)
    np.testing.assert_allclose(low.mean(), EDGES[:1].mean(), rtol=1e-6)


@pytest.mark.parametrize("name", ["defocus_blur5", "motion_blur5", "zoom_blur5", "glass_blur5", "pixelate5", "elastic_transform5"])
def test_what_moves_pixels_leaves_a_flat_image_alone(name: str) -> None:
    np.testing.assert_allclose(flat(0.4, name), 0.4, atol=0.003)


def test_fog_keeps_the_greatest_value() -> None:
    foggy = flat(0.5, "fog5")
    assert foggy.max() <= 0.5 + 1e-9
    found = plasma(16, 2.0, np.random.default_rng(0))
    assert (found.min(), found.max()) == (0, 1)


def test_rows_are_corrupted_as_they_are_read() -> None:
    data = Images((255 * EDGES).byte(), torch.arange(6))
    rows: Any = Corrupted(data, "fog5")
    assert torch.equal(rows[torch.tensor([4, 1])].x, corrupt(data.images, "fog5", NUMBERS)[[4, 1]])
    assert rows.digest != Corrupted(data, "fog4").digest
    assert torch.equal(corrupt(data.images, "none", NUMBERS), data.images)


@pytest.mark.parametrize(
    ("name", "match"), [("fogg5", "no corruption 'fogg'; did you mean 'fog'"), ("fog", "write it as fog5"), ("fog7", "no severity")]
)
def test_a_wrong_name_is_one_sentence(name: str, match: str) -> None:
    with pytest.raises(UserError, match=match):
        require_corruption(name)


def test_a_domain_may_be_another_under_a_corruption() -> None:
    assert cleaned("mnist+fog5") == ("mnist", "fog5")
    assert cleaned("fonts+photos", "photos") == ("fonts+photos", "none")
    data = Digits("handwritten", "handwritten+contrast5", size=16)
    clean, changed = (domain.train[torch.arange(3)].x.float() for domain in data.loaded)
    assert changed.std() < 0.3 * clean.std()
    with pytest.raises(UserError, match="no corruption 'fogs'"):
        Digits("handwritten", "handwritten+fogs5")
