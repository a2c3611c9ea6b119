from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tlda.data import Augment, ColourJitter, Cutout, RandAugment, RandomAffine, RandomCrop, RandomHorizontalFlip
from tlda.errors import UserError

ALL = [RandomAffine(30, 0.1, 0.2, 10), RandomCrop(3), RandomHorizontalFlip(0.5), ColourJitter(0.4, 0.4), Cutout(), RandAugment()]
NONE = [RandomAffine(), RandomCrop(0), RandomHorizontalFlip(0.0), ColourJitter(), Cutout(0.0), RandAugment(3, [RandomAffine()])]


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


def test_a_cutout_is_a_grey_square_anywhere() -> None:
    torch.manual_seed(0)
    covered = (Cutout(0.5, value=0.25)(torch.ones(2000, 2, 20, 30)) == 0.25).float()
    assert torch.equal(covered[:, 0], covered[:, 1])
    heights, widths = covered[:, 0].amax(2).sum(1), covered[:, 0].amax(1).sum(1)
    assert torch.equal(covered[:, 0].sum((1, 2)), heights * widths)  # a rectangle
    assert heights.max() == widths.max() == 10  # half of the shorter side
    whole = (covered[:, 0, 0].sum(1) + covered[:, 0, -1].sum(1) + covered[:, 0, :, 0].sum(1) + covered[:, 0, :, -1].sum(1)) == 0
    assert (heights[whole] - widths[whole]).abs().max() <= 1  # a square, to the pixel, where it does not leave the image
    # Every place is covered, a corner a fourth as often as the middle.
    often = covered[:, 0].mean(0)
    assert often.min() > 0
    assert often[0, 0] < 0.5 * often[10, 15]


class Add(Augment):
    """Adds a number of its own, so that the sum says what an image got."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def forward(self, x: Tensor) -> Tensor:
        return x + self.number


def test_each_image_draws_its_own_augmentations_as_often_as_all() -> None:
    torch.manual_seed(0)
    black = torch.zeros(3000, 1, 2, 2)
    sums = RandAugment(2, [Add(1), Add(10), Add(100)])(black)[:, 0, 0, 0]
    assert black.max() == 0  # the batch itself is left alone
    counts = dict(zip(*(part.tolist() for part in sums.unique(return_counts=True)), strict=True))
    expected = {2: 1, 20: 1, 200: 1, 11: 2, 101: 2, 110: 2}  # of 9 equally likely pairs
    assert counts.keys() == expected.keys()
    assert all(abs(counts[s] / 3000 - ninths / 9) < 0.03 for s, ninths in expected.items())


REFUSED = [
    lambda: RandomAffine(degrees=-1),
    lambda: RandomAffine(scale=1.0),
    lambda: RandomCrop(-1),
    lambda: ColourJitter(2.0),
    lambda: Cutout(1.5),
    lambda: RandAugment(0),
    lambda: RandAugment(choices=[]),
]


def test_strengths_that_make_no_sense_are_refused() -> None:
    for make in REFUSED:
        with pytest.raises(UserError, match=r"augmentation"):
            make()
    with pytest.raises(UserError, match=r"probability"):
        RandomHorizontalFlip(1.5)
