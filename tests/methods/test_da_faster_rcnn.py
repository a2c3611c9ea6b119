"""Domain-adaptive Faster R-CNN: its terms by hand, where their gradients go, and what the target moves."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor

from tests.helpers.boxed import NAMES, SIDE, Cells, Near, in_memory, picture
from tests.helpers.masked import setup
from tests.helpers.toy import trainer
from tlda.batch import Output, Pair
from tlda.inputs import as_maps
from tlda.methods import DAFasterRCNN
from tlda.nn.region_head import REGION_WIDTH, disagreement
from tlda.optim import Adam
from tlda.tasks import Detection


def made(**options: Any) -> Any:
    seed_everything(0, verbose=False)
    return DAFasterRCNN(backbone=Near(8), task=Detection(NAMES), hidden=8, regions=6, **options)


def batch_of() -> tuple[Any, Output, Output]:
    data: Any = setup(Cells(stride=None))
    rows = torch.arange(4)
    batch = data.as_trained(Pair(*(data.training_rows()[field][rows] for field in Pair._fields)))
    sides = [Output(torch.rand(len(batch.source.x) * 64, 8, requires_grad=True), torch.empty(0, 0)) for _ in range(2)]
    return batch, sides[0], sides[1]


def test_the_disagreement_is_that_of_each_region_with_the_mean_of_its_image() -> None:
    positions, regions = torch.tensor([[0.2, 0.4], [0.9, 0.7]]), torch.tensor([0.5, 0.1, 0.8], requires_grad=True)
    value = disagreement(positions, regions, torch.tensor([0, 0, 1]))
    assert value.item() == pytest.approx((abs(0.3 - 0.5) + abs(0.3 - 0.1) + 0.0) / 3)
    (gradient,) = torch.autograd.grad(value, regions)
    assert torch.allclose(gradient[:2], torch.tensor([1.0, -1.0]) / 3)


def test_regions_are_the_pooled_features_of_the_best_proposals() -> None:
    from torchvision.ops import MultiScaleRoIAlign

    method, x = made(), torch.rand(2, 3, SIDE, SIDE)
    maps = as_maps(method.backbone(x), x)
    features, of = method.network.head.regions(maps, x, 3)
    assert features.shape == (len(of), REGION_WIDTH)
    assert of.tolist() == [0, 0, 0, 1, 1, 1]
    model, boxes = method.network.head.model, []
    assert model.rpn.training
    hook = model.roi_heads.box_roi_pool.register_forward_pre_hook(lambda module, given: boxes.extend(given[1]))
    method.eval()(x)  # as torchvision's own model proposes
    hook.remove()
    pool = MultiScaleRoIAlign(["0", "1", "2"], 7, 2)
    found = {str(level): maps[..., :: 2**level, :: 2**level] for level in range(3)}
    assert torch.allclose(features, model.roi_heads.box_head(pool(found, [each[:3] for each in boxes], [(SIDE, SIDE)] * 2)), atol=1e-5)


def test_the_terms_are_those_by_hand_and_the_features_have_the_domains_gradient_reversed() -> None:
    batch, source, target = batch_of()
    method = made(trade_off=0.3)
    terms = method.adversarial(batch, source, target)
    image = [method.critics["image"](side.features).flatten() for side in (source, target)]
    found = [method.network.head.regions(as_maps(s.features, d.x), d.x, 6) for s, d in ((source, batch.source), (target, batch.target))]
    region = [method.critics["region"](features).flatten() for features, _ in found]

    def told(sides: list[Tensor]) -> Tensor:
        return -(sides[0].sigmoid().log().mean() + (1 - sides[1].sigmoid()).log().mean()) / 2

    apart = [
        (one.sigmoid().view(4, 64).mean(1)[of] - other.sigmoid()).abs() for one, other, (_, of) in zip(image, region, found, strict=True)
    ]
    expected = {"image": told(image), "region": told(region), "agreement": torch.cat(apart).mean()}
    assert terms.keys() == expected.keys()
    features, weights = [source.features, target.features], {name: list(critic.parameters()) for name, critic in method.critics.items()}
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, msg=name)
        scale = 0.3 if name == "agreement" else -0.3
        ours, theirs = (torch.autograd.grad(term, features, retain_graph=True) for term in (terms[name], value))
        for one, other in zip(ours, theirs, strict=True):
            assert other.abs().max() > 0, name
            torch.testing.assert_close(one, scale * other, rtol=1e-3, atol=1e-7, msg=name)
        of_critics = [*weights["image"], *weights["region"]] if name == "agreement" else weights[name]
        for one, other in zip(*(torch.autograd.grad(term, of_critics, retain_graph=True) for term in (terms[name], value)), strict=True):
            torch.testing.assert_close(one, other, msg=name)  # the discriminators learn in full


class Darker(Cells):
    """Cells whose target is as dark as it is told."""

    dark = 0.6

    def _made(self, dark: float, seed: int) -> Any:
        return super()._made(self.dark if seed else dark, seed)


def weights(dark: float, trade_off: float) -> Tensor:
    """The backbone's after two steps."""
    data = Darker(16, steps=2, stride=None)
    data.dark = dark
    method = made(trade_off=trade_off)
    trainer(1, limit_val_batches=0).fit(method, data)
    return torch.cat([parameter.detach().flatten() for parameter in method.backbone.parameters()])


def test_the_target_moves_the_network_by_the_gradient_of_its_terms_alone() -> None:
    assert not torch.equal(weights(0.6, 0.1), weights(0.3, 0.1))
    assert torch.equal(weights(0.6, 0.0), weights(0.3, 0.0))


class OtherLight(Cells):
    """Red squares on grey; the target's blue and green are another everywhere, and nothing in the source says that they do not matter."""

    def __init__(self) -> None:
        super().__init__(16, steps=160, stride=None)
        self.classes = NAMES[:1]

    @property
    def names(self) -> list[str]:
        return NAMES[:1]

    def _made(self, dark: float, seed: int) -> Any:
        random = np.random.default_rng(seed)
        corners = random.integers([[0, 0], [8, 0]], [[4, 11], [12, 11]], (self.n, 2, 2)).tolist()
        boxes = [[(0, a, b, a + 5, b + 5) for a, b in two] for two in corners]
        images = np.stack([picture(each, 1.0, random) for each in boxes])
        if seed:
            images[..., 1:] = 180
        return in_memory(boxes, images, self.names)


@functools.cache
def found(trade_off: float, seed: int) -> float:
    """AP50 on the target."""
    seed_everything(seed, verbose=False)
    own = {"backbone": Near(8), "task": Detection(NAMES[:1]), "optimizer": Adam(5e-3)}
    method, data = DAFasterRCNN(**own, hidden=16, regions=16, trade_off=trade_off), OtherLight()
    run = trainer(1, limit_val_batches=0)
    run.fit(method, data)
    return next(row["test/target/ap50"] for row in run.test(method, data, verbose=False) if "test/target/ap50" in row)


@pytest.mark.slow
def test_the_adversaries_learn_to_see_through_another_light_and_a_copy_whose_features_have_no_gradient_of_theirs_does_not() -> None:
    """One draw is enough where it gains much, else the mean of three."""

    def gain(seed: int) -> float:
        return found(0.1, seed) - found(0.0, seed)

    assert gain(0) >= 0.3 or sum(map(gain, range(3))) / 3 >= 0.3
