from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tlda.data import Augment, ColourJitter, RandomAffine, RandomCrop, RandomHorizontalFlip
from tlda.errors import UserError

ALL = [RandomAffine(30, 0.1, 0.2, 10), RandomCrop(3), RandomHorizontalFlip(0.5), ColourJitter(0.4, 0.4)]
NONE = [RandomAffine(), RandomCrop(0), RandomHorizontalFlip(0.0), ColourJitter()]


@pytest.fixture
def images() -> Tensor:
    torch.manual_seed(0)
    return torch.rand(16, 3, 12, 10)


def name(augment: Augment) -> str:
    return type(augment).__name__


@pytest.mark.parametrize("augment", NONE, ids=name)
def test_no_strength_changes_nothing(augment: Augment, images: Tensor) -> None:
    torch.testing.assert_close(augment(images), images)


@pytest.mark.parametrize("augment", ALL, ids=name)
def test_shape_type_and_range_stay(augment: Augment, images: Tensor) -> None:
    changed = augment(images)
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-6


@pytest.mark.parametrize("augment", ALL, ids=name)
def test_each_image_has_parameters_of_its_own_from_the_seed(augment: Augment, images: Tensor) -> None:
    same = images[:1].expand(16, -1, -1, -1)
    torch.manual_seed(1)
    first = augment(same)
    assert len(first.flatten(1).unique(dim=0)) > 1
    torch.manual_seed(1)
    assert torch.equal(first, augment(same))
    torch.manual_seed(2)
    assert not torch.equal(first, augment(same))


def spot(height: int, width: int, y: int, x: int) -> Tensor:
    image = torch.zeros(1, 1, height, width)
    image[..., y, x] = 1
    return image


def fix(augment: RandomAffine, monkeypatch: pytest.MonkeyPatch) -> RandomAffine:
    """Let every random number be the largest."""
    monkeypatch.setattr("tlda.data.augment._uniform", lambda x, limit: torch.full((len(x),), limit))
    return augment


def test_a_quarter_turn_of_an_image_that_is_not_square(monkeypatch: pytest.MonkeyPatch) -> None:
    turned = fix(RandomAffine(degrees=90), monkeypatch)(spot(9, 21, 4, 13))  # 3 pixels right of the middle
    y, x = divmod(int(turned.argmax()), 21)
    assert (abs(y - 4), x) == (3, 10)
    assert turned.max() > 0.99


def test_moves_and_sizes_are_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = fix(RandomAffine(translate=0.2), monkeypatch)(spot(10, 20, 5, 10))
    assert divmod(int(moved.argmax()), 20) == (3, 6)
    larger = fix(RandomAffine(scale=0.5), monkeypatch)(spot(11, 11, 5, 9))
    assert larger[0, 0, 5].argmax() == 10 or larger.max() < 0.2  # it moved outwards, from 4 to 6 pixels off the middle
    sheared = fix(RandomAffine(shear=math.degrees(math.atan(0.5))), monkeypatch)(spot(11, 21, 1, 10))
    assert divmod(int(sheared.argmax()), 21) == (1, 12)  # 4 above the middle, by a half of that


def test_a_crop_moves_whole_pixels(images: Tensor) -> None:
    moved = RandomCrop(2)(spot(9, 9, 4, 4).expand(64, -1, -1, -1))
    assert (moved.flatten(1).sum(1) == 1).all()
    places = {divmod(int(place), 9) for place in moved.flatten(1).argmax(1)}
    assert all(2 <= y <= 6 and 2 <= x <= 6 for y, x in places)
    assert len(places) > 10


def test_flips_and_brightness(images: Tensor) -> None:
    assert torch.equal(RandomHorizontalFlip(1.0)(images), images.flip(3))
    torch.manual_seed(0)
    factors = (ColourJitter(brightness=0.5)(images / 2) / (images / 2)).flatten(1)
    assert (factors.std(1) < 1e-4).all()
    assert factors.mean(1).std() > 0.1
    assert factors.min() >= 0.5
    grey = ColourJitter(contrast=1.0)(images)
    torch.testing.assert_close(ColourJitter(contrast=0.3)(images * 0.2 + 0.4).mean((1, 2, 3)), (images * 0.2 + 0.4).mean((1, 2, 3)))
    assert grey.std() != images.std()


def test_strengths_that_make_no_sense_are_refused() -> None:
    for make in (lambda: RandomAffine(degrees=-1), lambda: RandomAffine(scale=1.0), lambda: RandomCrop(-1), lambda: ColourJitter(2.0)):
        with pytest.raises(UserError, match=r"augmentation"):
            make()
    with pytest.raises(UserError, match=r"probability"):
        RandomHorizontalFlip(1.5)
