"""The feature distance against sums by hand, and what it does under methods."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn.functional import avg_pool2d

from tests.helpers.masked import Scenes, TinyDense, setup
from tests.helpers.toy import trainer
from tlda.backbones import Dense
from tlda.batch import Pair
from tlda.errors import UserError
from tlda.inputs import as_maps
from tlda.losses import FeatureDistance, feature_distance
from tlda.losses.feature_distance import mostly
from tlda.methods import DACS, DANN, SourceOnly
from tlda.optim import Adam


def test_value_and_gradient_are_those_of_sums_by_hand() -> None:
    torch.manual_seed(0)
    maps, start, chosen = torch.randn(2, 3, 2, 2, requires_grad=True), torch.randn(2, 3, 2, 2), torch.rand(2, 2, 2) > 0.4
    found = feature_distance(maps, start, chosen)
    places = [(n, i, j) for n, i, j in chosen.nonzero().tolist()]
    expected = sum(((maps[n, :, i, j] - start[n, :, i, j]) ** 2).sum() ** 0.5 for n, i, j in places) / len(places)
    torch.testing.assert_close(found, torch.as_tensor(expected))
    torch.testing.assert_close(*(torch.autograd.grad(value, maps)[0] for value in (found, torch.as_tensor(expected))))


def test_without_a_chosen_position_or_a_distance_there_is_a_gradient_of_zero() -> None:
    maps = torch.randn(1, 3, 2, 2, requires_grad=True)
    for chosen in (torch.zeros(1, 2, 2, dtype=torch.bool), torch.ones(1, 2, 2, dtype=torch.bool)):
        (gradient,) = torch.autograd.grad(value := feature_distance(maps, maps.detach(), chosen), maps)
        assert value == 0
        assert torch.equal(gradient, torch.zeros_like(maps))


def test_a_position_counts_where_a_class_has_more_than_the_share_of_it() -> None:
    y = torch.randint(-1, 3, (2, 4, 8), generator=torch.Generator().manual_seed(0))
    expected = torch.stack([avg_pool2d((y == c).float(), 2) > 0.4 for c in (0, 2)]).any(0)
    assert torch.equal(mostly(y, torch.tensor([0, 2]), (2, 4), 0.4), expected)
    assert expected.any()
    assert not expected.all()


def made(kind: Any, loss: FeatureDistance, **options: Any) -> Any:
    torch.manual_seed(0)
    backbone = Dense("resnet10t", None, stride=2, width=4)
    return kind(backbone=backbone, task=Scenes().task, plus=[loss], optimizer=Adam(1e-3), **options)


def batch_of() -> Any:
    data = setup(Scenes())
    return data.augmented(Pair(*(data.training_rows()[field][torch.arange(4)] for field in Pair._fields)))


@pytest.mark.parametrize(
    ("kind", "options"), [(SourceOnly, {}), (DACS, {}), (DANN, {"hidden": 4}), (DANN, {"hidden": 4, "batchnorm": "separate"})]
)
def test_it_is_the_distance_of_the_source_in_the_coarsest_map(kind: Any, options: dict[str, Any]) -> None:
    """Whether both domains pass as one batch or one after the other, and beside a teacher, which is a copy of the network."""
    loss = FeatureDistance(things=["sky"], share=0.2)
    method, batch = made(kind, loss, **options), batch_of()
    before = copy.deepcopy(method.network.backbone).eval()
    with torch.no_grad():
        method.network.backbone.model.conv1[0].weight.mul_(1.5)
    method.train()
    terms = method.objective(batch, *method.forward_pair(batch if kind is not SourceOnly else batch[:1]))
    x = batch.source.x
    alone = copy.deepcopy(method.network.backbone).train()
    images = torch.cat((x, batch.target.x)) if kind is DANN and not options.get("batchnorm") else x
    maps, start = (
        b.model.forward_intermediates(b_x, indices=b.levels, intermediates_only=True)[-1]
        for b, b_x in ((alone, (images - alone.mean) / alone.std), (before, (x - before.mean) / before.std))
    )
    chosen = mostly(as_maps(batch.source.y[:, None], x)[:, 0], torch.tensor([1]), maps.shape[2:], 0.2)
    expected = feature_distance(maps[: len(x)], start, chosen)
    assert expected > 0
    torch.testing.assert_close(terms["feature_distance"], 0.005 * expected)


def test_a_run_with_a_teacher_trains_and_its_checkpoint_has_the_start() -> None:
    method = made(DACS, FeatureDistance(0.1))
    start = method.network.backbone.model.conv1[0].weight.clone()
    trainer(1, limit_val_batches=0).fit(method, Scenes())
    kept = method.state_dict()["losses.feature_distance.start.copy.0.model.conv1.0.weight"]
    assert torch.equal(kept, start)
    assert not torch.equal(method.network.backbone.model.conv1[0].weight, start)


def test_what_has_no_maps_or_no_such_class_is_refused() -> None:
    with pytest.raises(UserError, match="compares maps, which TinyDense has not"):
        SourceOnly(backbone=TinyDense(), task=Scenes().task, plus=[FeatureDistance()])
    with pytest.raises(UserError, match="has things 'car', which is no class"):
        made(SourceOnly, FeatureDistance(things=["car"]))
    with pytest.raises(UserError, match="share 1"):
        FeatureDistance(share=1.0)
