from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from scipy.stats import ks_2samp
from torch import Tensor
from torchvision.transforms import ColorJitter
from torchvision.transforms import RandomResizedCrop as RandomResized
from torchvision.transforms.v2 import functional

from tlda.data import (
    Augment,
    ColourJitter,
    Cutout,
    PerImage,
    PhotoJitter,
    RandAugment,
    RandomAffine,
    RandomCrop,
    RandomGreyscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomWindow,
    RandomZoom,
)  # fmt: skip
from tlda.data.augment import rotated_hue
from tlda.data.crops import together
from tlda.errors import UserError

PHOTO = [PhotoJitter(0.5, 0.5, 0.5, 0.5), RandomGreyscale(0.5)]
ALL = [RandomAffine(30, 0.1, 0.2, 10), RandomCrop(3), RandomHorizontalFlip(0.5), ColourJitter(0.4, 0.4), Cutout(), RandAugment(), *PHOTO]
ALL += [RandomZoom(), PerImage("GaussianBlur", {"kernel_size": 3}), PerImage("ColorJitter", {"brightness": 0.4})]
STILL = [PhotoJitter(), RandomGreyscale(0.0), RandomZoom((1.0, 1.0), (1.0, 1.0)), PerImage("GaussianBlur", {"kernel_size": 3}, 0.0)]
NONE = [RandomAffine(), RandomCrop(0), RandomHorizontalFlip(0.0), ColourJitter(), Cutout(0.0), RandAugment(3, [RandomAffine()]), *STILL]


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


# What torchvision has too: the same boxes and factors as often, and the same pixels


def alike(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether two samples are of one distribution, by the Kolmogorov-Smirnov test."""
    return float(ks_2samp(ours, theirs).pvalue) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(256, 256), (256, 400), (400, 256), (256, 2000)])
@pytest.mark.parametrize(("scale", "ratio"), [((0.08, 1.0), (3 / 4, 4 / 3)), ((0.7, 1.0), (3 / 4, 4 / 3)), ((0.5, 1.0), (0.5, 0.6))])
def test_boxes_are_those_of_torchvision(shape: tuple[int, int], scale: tuple[float, float], ratio: tuple[float, float]) -> None:
    torch.manual_seed(0)
    ours = RandomResizedCrop(8, scale, ratio).boxes(torch.tensor([shape]).expand(1500, 2))
    image = torch.empty(3, *shape)
    theirs = torch.tensor([RandomResized.get_params(image, list(scale), list(ratio)) for _ in range(1500)])
    (top, left, height, width), (top2, left2, height2, width2) = ours.unbind(1), theirs.unbind(1)
    assert (top >= 0).all() and (left >= 0).all() and (top + height <= shape[0]).all() and (left + width <= shape[1]).all()  # noqa: PT018
    assert alike((height * width).tolist(), (height2 * width2).tolist()), "area"
    assert alike((width / height).tolist(), (width2 / height2).tolist()), "aspect ratio"
    assert alike(top.tolist(), top2.tolist())
    assert alike(left.tolist(), left2.tolist())


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_a_resized_box_is_torchvisions_bit_for_bit(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    images = [(255 * torch.rand(3, 30, 20 + 4 * i)).to(kind) for i in range(4)]
    crop = RandomResizedCrop(16)
    boxes = crop.boxes(torch.tensor([image.shape[1:] for image in images]))
    monkeypatch.setattr(crop, "boxes", lambda shapes: boxes)
    expected = [functional.resized_crop(x, *box, [16, 16]) for x, box in zip(images, boxes.tolist(), strict=True)]
    assert torch.equal(crop(together(images)), torch.stack(expected))


def test_images_are_mirrored_and_greyed_as_often_as_is_said(images: Tensor) -> None:
    torch.manual_seed(0)
    many = images[:1].expand(4000, -1, -1, -1)
    flipped = (RandomHorizontalFlip(0.3)(many) != many).flatten(1).any(1)
    assert abs(flipped.float().mean() - 0.3) < 0.025
    grey = RandomGreyscale(0.1)(many)
    rows = (grey != many).flatten(1).any(1)
    assert abs(rows.float().mean() - 0.1) < 0.02
    torch.testing.assert_close(grey[rows][0], functional.rgb_to_grayscale(images[0], 3))
    assert torch.equal(RandomGreyscale(1.0)(images[:, :1]), images[:, :1])


FIXED = {"brightness": functional.adjust_brightness, "contrast": functional.adjust_contrast, "saturation": functional.adjust_saturation}


@pytest.mark.parametrize("name", [*FIXED, "hue"])
def test_each_change_of_colour_is_torchvisions(name: str, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = {**FIXED, "hue": functional.adjust_hue}[name]
    for amount in (-0.4, 0.3, 0.5):
        monkeypatch.setattr("tlda.data.augment._uniform", lambda x, _, amount=amount: torch.full((len(x),), amount))
        changed = PhotoJitter(**{name: 0.5})(images)
        torch.testing.assert_close(changed, fixed(images, amount if name == "hue" else 1 + amount), atol=1e-5, rtol=1e-5)


def test_a_full_turn_leaves_the_hue_and_grey_has_none(images: Tensor) -> None:
    torch.testing.assert_close(rotated_hue(images, torch.ones(16)), images)
    grey = images[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(rotated_hue(grey, torch.full((16,), 0.3)), grey)


@pytest.mark.slow
def test_factors_and_orders_are_drawn_as_torchvisions(images: Tensor) -> None:
    """What the four do to an image depends on their factors and their order: the distributions of the results are the same."""
    torch.manual_seed(0)
    strengths = (0.4, 0.4, 0.4, 0.1)
    ours = PhotoJitter(*strengths)(images[:1].expand(1200, -1, -1, -1))
    theirs = torch.stack([ColorJitter(*strengths)(images[0]) for _ in range(1200)])
    for row, column in ((0, 0), (5, 3), (11, 9)):
        for channel in range(3):
            assert alike(ours[:, channel, row, column].tolist(), theirs[:, channel, row, column].tolist())
    assert alike(ours.mean((1, 2, 3)).tolist(), theirs.mean((1, 2, 3)).tolist())


REFUSED = [
    lambda: RandomAffine(degrees=-1),
    lambda: RandomAffine(scale=1.0),
    lambda: RandomCrop(-1),
    lambda: ColourJitter(2.0),
    lambda: Cutout(1.5),
    lambda: RandAugment(0),
    lambda: RandAugment(choices=[]),
    lambda: PhotoJitter(hue=0.6),
    lambda: PhotoJitter(saturation=1.5),
    lambda: RandomGreyscale(1.1),
    lambda: RandomWindow(0),
    lambda: RandomWindow(5)(torch.zeros(1, 3, 4, 9)),
    lambda: RandomResizedCrop(0),
    lambda: RandomResizedCrop(8, scale=(1.0, 0.5)),
    lambda: RandomResizedCrop(8, ratio=(0.0, 1.0)),
]


def test_strengths_that_make_no_sense_are_refused() -> None:
    for make in REFUSED:
        with pytest.raises(UserError, match=r"augmentation"):
            make()
    with pytest.raises(UserError, match=r"probability"):
        RandomHorizontalFlip(1.5)


def test_a_zoom_is_a_resized_crop(images: Tensor) -> None:
    zoom = RandomZoom((0.25, 0.25), (1.0, 1.0))
    linear = torch.linspace(0, 1, 12)[None, None, :, None].expand(64, 1, 12, 10)
    heights = zoom(linear)[..., 0].flatten(1)
    # A box of half the height has half of a slope, wherever it lies within the image.
    slopes = (heights[:, 6] - heights[:, 5]) * 22
    torch.testing.assert_close(slopes, torch.ones(64))
    assert heights.min() >= 0
    assert heights.std(0).min() > 0.05


def test_what_torchvision_has_not_is_one_sentence() -> None:
    with pytest.raises(UserError, match="no transform 'GausianBlur'; did you mean 'GaussianBlur'"):
        PerImage("GausianBlur")
    with pytest.raises(UserError, match="GaussianBlur cannot be made of"):
        PerImage("GaussianBlur", {"sizes": 3})
    with pytest.raises(UserError, match="gives images of several sizes"):
        PerImage("CenterCrop", {"size": 4}, 0.5)(torch.rand(32, 1, 8, 8))
