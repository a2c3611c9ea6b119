"""MixStyle: which layers, when, and what it is for."""

from __future__ import annotations

import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor, nn

from tests.helpers.toy import Maps, Tiny
from tests.helpers.toys import ROWS, Plane
from tests.methods.test_learning import fit
from tlda.data import Images
from tlda.errors import UserError
from tlda.methods import MixStyle
from tlda.optim import Adam
from tlda.tasks import Classification


def test_maps_are_mixed_in_training_alone_with_the_probability() -> None:
    x = torch.rand(6, 1, 4, 4)
    for probability, differs in ((1.0, True), (0.0, False)):
        backbone, seen = Maps(), list[Tensor]()
        method = MixStyle(backbone=backbone, task=3, probability=probability, alpha=5.0)
        backbone.layers[2].register_forward_hook(lambda layer, inputs, output, seen=seen: seen.append(output.detach()))
        method.train()(x)
        assert bool((seen[-1] < 0).any()) is differs  # what ReLU gives has no negative numbers
        method.eval()(x)
        assert not (seen[-1] < 0).any()


def test_bad_options_are_a_sentence() -> None:
    for options, sentence in (
        ({"blocks": [2]}, "--model.blocks has 2, and Maps has the blocks 0 to 1"),
        ({"alpha": 0.0}, "--model.alpha 0.0: the one is 0 to 1, the other above 0"),
    ):
        with pytest.raises(UserError, match=sentence):
            MixStyle(backbone=Maps(), task=3, **options)
    with pytest.raises(UserError, match=r"MixStyle mixes maps .* gives \(2, 16\)"):
        MixStyle(backbone=Tiny(), task=3, blocks=[0]).train()(torch.rand(2, 1, 4, 4))


class Lit(Plane):
    """Two classes, the left half brighter than the right or darker; all is bright or dark too, by the class, in the target wrongly."""

    task = Classification(["left", "right"])

    def rows(self, is_target: bool, seed: int) -> tuple[Images, Images]:
        labels = torch.arange(ROWS) % 2
        side = (2.0 * labels - 1)[:, None, None, None]
        pixels = 0.1 * torch.randn(ROWS, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) + (-0.3 if is_target else 0.3) * side
        pixels[..., :2] += 0.4 * side
        pixels[..., 2:] -= 0.4 * side
        images = Images(0.5 + pixels / 2, labels)
        return images, images


class Convolved(Maps):
    """Maps that keep what is dark apart from what is grey."""

    def __init__(self) -> None:
        super().__init__()
        self.layers[1] = nn.Identity()


def reached(probability: float) -> float:
    """The accuracy on the target at the end of a run."""
    seed_everything(0, verbose=False)
    method = MixStyle(backbone=Convolved(), task=Lit.task, probability=probability, alpha=1.0, blocks=[0], optimizer=Adam(5e-3))
    rows = fit(method, Lit()).test(method, Lit(), verbose=False)
    return next(row["test/target/accuracy"] for row in rows if "test/target/accuracy" in row)


@pytest.mark.slow
def test_a_network_whose_styles_are_mixed_does_not_rely_on_them() -> None:
    alone, mixed = reached(0.0), reached(1.0)
    print(f"not mixed {alone:.3f}, mixed {mixed:.3f}")
    assert mixed > alone + 0.3
