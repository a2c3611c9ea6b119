from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tlda.batch import SourceBatch
from tlda.data import FDA, ColourTransfer
from tlda.data.style import fourier_swap
from tlda.errors import UserError
from tlda.losses import MinEnt
from tlda.methods import Oracle, SourceOnly

STYLES = [FDA(0.1), ColourTransfer()]


@pytest.fixture
def images() -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.rand(4, 3, 12, 10), 0.5 * torch.rand(3, 3, 12, 10)]


def by_numpy(source: Tensor, target: Tensor, reach: int, beyond: int = 1) -> Tensor:
    """The swap with the zero frequency in the middle, and the square of frequencies as a slice, as in the paper's figure 1."""
    ours, theirs = (np.fft.fftshift(np.fft.fft2(x.double().numpy()), axes=(-2, -1)) for x in (source, target))
    amplitude, phase = np.abs(ours), np.angle(ours)
    middle = [n // 2 for n in source.shape[2:]]
    square = (..., *(slice(m - reach, m + reach + beyond) for m in middle))
    amplitude[square] = np.abs(theirs)[square]  # type: ignore[index]
    swapped = np.fft.ifft2(np.fft.ifftshift(amplitude * np.exp(1j * phase), axes=(-2, -1)))
    return torch.from_numpy(swapped.real).float()


@pytest.mark.parametrize(("beta", "reach"), [(0.01, 0), (0.1, 1), (0.35, 3)])
def test_the_swap_is_that_of_numpy(images: list[Tensor], beta: float, reach: int) -> None:
    source, target = images[0][:3], images[1]
    torch.testing.assert_close(fourier_swap(source, target, beta), by_numpy(source, target, reach), rtol=1e-4, atol=1e-5)
    corners = fourier_swap(source, target, beta, "corners")  # a row and a column less, so that the result is real only as its real part
    torch.testing.assert_close(corners, by_numpy(source, target, reach, beyond=0), rtol=1e-4, atol=1e-5)


def test_without_reach_nothing_is_swapped(images: list[Tensor]) -> None:
    assert torch.equal(FDA(0.0).domains(images)[0], images[0])


def test_colours_have_the_mean_and_spread_of_the_target() -> None:
    torch.manual_seed(0)
    source, target = 0.3 + 0.05 * torch.rand(4, 3, 8, 8), 0.5 + 0.1 * torch.rand(4, 3, 8, 8)
    changed = ColourTransfer().domains([source, target])[0]
    for ours, theirs in zip(torch.std_mean(changed, (2, 3)), torch.std_mean(target, (2, 3)), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert torch.corrcoef(torch.stack((source[0, 0].flatten(), changed[0, 0].flatten())))[0, 1] > 0.999


@pytest.mark.parametrize("style", STYLES, ids=lambda style: type(style).__name__)
def test_the_target_and_the_range_stay(style: FDA, images: list[Tensor]) -> None:
    changed, target = style.domains(images)
    assert torch.equal(target, images[1])
    assert changed.shape == images[0].shape
    assert 0 <= changed.min() <= changed.max() <= 1
    assert not torch.allclose(changed, images[0], atol=0.01)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: type(style).__name__)
def test_source_only_learns_images_in_the_targets_style_and_sees_no_target(style: FDA) -> None:
    class Watched(SourceOnly):
        """Source only that keeps its batch."""

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            seen.append(batch)
            return super().training_step(batch, batch_idx)

    seen: list[Any] = []
    method = Watched(backbone=Tiny(), task=CLASSES)
    trainer(1, limit_val_batches=0).fit(method, data := Toy(augment=[style], steps=1, seed=0))
    (batch,) = seen
    assert type(batch) is SourceBatch
    own = data.prepare(data.loaded[0].train[batch.source.row]).x
    assert not torch.allclose(batch.source.x, own, atol=0.01)
    trainer(1).fit(SourceOnly(backbone=Tiny(), task=CLASSES, plus=[MinEnt(0.005)]), Toy(augment=[style], steps=1))


def test_target_labels_alone_have_no_style_to_take() -> None:
    with pytest.raises(UserError, match=r"needs a source and a target in the batch.*such as SourceOnly"):
        trainer(1).fit(Oracle(backbone=Tiny(), task=CLASSES), Toy(augment=[FDA()]))


def test_bad_options_and_shapes_are_named(images: list[Tensor]) -> None:
    with pytest.raises(UserError, match=r"beta is 0\.7"):
        FDA(0.7)
    with pytest.raises(UserError, match=r"the source's are \(3, 12, 10\), the target's \(3, 12, 9\)"):
        FDA().domains([images[0], images[1][..., :9]])
