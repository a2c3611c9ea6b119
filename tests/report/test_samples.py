"""Images of both domains, as read and as a step sees them."""

from __future__ import annotations

import torch

from tests.helpers.toy import Sentences, Toy
from tlda.data.augmenting import Augment
from tlda.report.samples import IMAGES, LABELS, sample_images, samples_figure


class Noise(Augment):
    """Adds noise."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + torch.rand_like(images)


def test_images_are_shown_as_read_and_as_a_step_sees_them() -> None:
    data = Toy(n=24, augment=[Noise()])
    data.setup("fit")
    state = torch.get_rng_state()
    source, changed, target, target_changed = sample_images(data)
    assert torch.equal(torch.get_rng_state(), state), "the run's own random numbers are drawn on"
    rows = torch.randperm(24, generator=torch.Generator().manual_seed(0))[:IMAGES]
    assert torch.equal(source, data.loaded[0].train[rows].x / 255)
    assert torch.equal(target, data.loaded[1].train[rows].x / 255)
    assert (changed >= source).all()
    assert (target_changed > target).any()
    axes = samples_figure([source, changed, target, target_changed]).axes
    assert len(axes) == IMAGES * len(LABELS)
    assert [each.get_ylabel() for each in axes[::IMAGES]] == list(LABELS)


def test_what_is_no_image_has_no_samples() -> None:
    data = Sentences()
    data.setup("fit")
    assert sample_images(data) == []
