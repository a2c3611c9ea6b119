from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint

from tests.helpers import toy
from tlda.batch import LabelledBatch, LabelledPair, OracleBatch, Pair, SourceBatch, Unlabelled
from tlda.data import Domain, DomainPair, Images
from tlda.data.augmenting import Augment
from tlda.data.rows import Pooled, Subset, WithoutLabels, domains_of
from tlda.data.samplers import Steps
from tlda.errors import UserError
from tlda.methods import DeepJDOT, SourceOnly
from tlda.tasks import Classification, Task


def images(count: int, classes: int = 4, value: int = 0) -> Images:
    return Images(torch.full((count, 1, 6, 6), value, dtype=torch.uint8), torch.arange(count) % classes)


class Toy(DomainPair):
    def __init__(self, source: Domain | None = None, target: Domain | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.given = source or Domain("a", images(40)), target or Domain("b", images(24, value=255))

    @property
    def task(self) -> Task:
        return Classification(["p", "q", "r", "s"])

    def load(self) -> tuple[Domain, Domain]:
        return self.given


def ready(**kwargs: Any) -> Toy:
    data = Toy(**kwargs)
    data.setup("fit")
    return data


def test_holdout_splits_the_source_without_overlap() -> None:
    source, target = ready(holdout=0.25, seed=1).domains or (None, None)
    assert isinstance(source.train, Subset)  # type: ignore[union-attr]
    assert isinstance(source.test, Subset)  # type: ignore[union-attr]
    assert len(source.test) == 10  # type: ignore[union-attr]
    assert sorted([*source.train.rows.tolist(), *source.test.rows.tolist()]) == list(range(40))  # type: ignore[union-attr]
    assert len(target.train) == 24  # type: ignore[union-attr]


def test_holdout_follows_the_seed_and_leaves_test_rows_alone() -> None:
    def held(seed: int) -> list[int]:
        return ready(seed=seed).evaluation_rows[0].rows.tolist()  # type: ignore[attr-defined, no-any-return]

    assert held(1) == held(1) != held(2)
    apart = images(8)
    assert ready(source=Domain("a", images(40), apart)).evaluation_rows[0] is apart


def test_target_test_rows_measure_where_there_are_some() -> None:
    apart = images(5)
    assert ready(target=Domain("b", images(24), apart)).evaluation_rows[1] is apart
    assert len(ready().evaluation_rows[1]) == 24


def test_shots_are_so_many_of_each_class_and_follow_the_seed() -> None:
    few = ready(shots=3, seed=0).training_rows()["labelled"]
    assert few.labels.bincount().tolist() == [3, 3, 3, 3]
    assert few.rows.tolist() == ready(shots=3, seed=0).training_rows()["labelled"].rows.tolist()
    assert few.rows.tolist() != ready(shots=3, seed=1).training_rows()["labelled"].rows.tolist()
    assert len(ready().training_rows()["labelled"]) == 24


def test_the_target_of_a_pair_has_no_labels() -> None:
    rows = ready().training_rows()["target"]
    assert isinstance(rows, WithoutLabels)
    assert not hasattr(rows, "labels")
    assert isinstance(rows[torch.tensor([1, 2])], Unlabelled)


@pytest.mark.parametrize("batch_type", [Pair, SourceBatch, LabelledPair, LabelledBatch, OracleBatch])
def test_the_batch_is_what_the_method_asks_for(batch_type: Any) -> None:
    data = ready(batch_size=5, steps=3)
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=SimpleNamespace(batch_type=batch_type), global_rank=0, world_size=1, training=True
    )
    read = [batch for batch, _, _ in data.train_dataloader()]
    assert len(read) == 3
    assert all(type(batch) is batch_type for batch in read)
    assert all(len(part.x) == 5 for part in read[0])


def test_augmentation_is_for_training_and_bytes_become_floats() -> None:
    class Half(Augment):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / 2

    data = ready(batch_size=4, augment=[Half()])
    batch = Pair(data.training_rows()["source"][torch.arange(4)], data.training_rows()["target"][torch.arange(4)])
    data.trainer = SimpleNamespace(training=True)  # type: ignore[assignment]
    assert data.on_after_batch_transfer(batch, 0).target.x.unique().tolist() == [0.5]
    assert data.on_after_batch_transfer(data.evaluation_rows[1][torch.arange(4)], 0).x.unique().tolist() == [1.0]
    data.trainer = SimpleNamespace(training=False)  # type: ignore[assignment]
    assert data.on_after_batch_transfer(batch, 0).target.x.unique().tolist() == [1.0]


def test_an_empty_domain_and_a_single_class_are_refused() -> None:
    with pytest.raises(UserError, match=r"'b' is empty"):
        ready(target=Domain("b", images(0)))

    class One(Toy):
        @property
        def task(self) -> Task:
            return Classification(["p"])

    with pytest.raises(UserError, match=r"only one class"):
        _ = One().task


def test_a_target_without_labels_is_not_measured_and_refused_where_labels_are_needed() -> None:
    target = Domain("b", Images(images(24).images, torch.full((24,), -1)), labelled=False)
    data = ready(target=target)
    assert (len(data.val_dataloader()), len(data.test_dataloader())) == (2, 1), "it is validated without labels"
    assert len(ready().test_dataloader()) == 2
    assert len(next(iter(data.predict_dataloader())).x) == 24
    oracle = Toy(target=target)
    oracle.trainer = SimpleNamespace(lightning_module=SimpleNamespace(batch_type=OracleBatch))  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"trains on labels of the target, and 'b' has none"):
        oracle.setup("fit")


def test_the_fingerprint_tells_data_apart_and_nothing_else() -> None:
    first = Toy(seed=0).fingerprint()
    assert len(first) == 16
    assert first == ready(seed=7, holdout=0.5, batch_size=3).fingerprint()
    other_labels, other_images = images(40), images(40)
    other_labels.labels[3] = 0
    other_images.images[3, 0, 2, 2] = 1
    prints = {first, *(Toy(source=Domain("a", data)).fingerprint() for data in (other_labels, other_images, images(39)))}
    assert len(prints) == 4
    subset = Domain("a", Subset(images(40), torch.arange(39)))
    assert Toy(source=subset).fingerprint() not in prints


@pytest.mark.parametrize(("batch_type", "measured"), [(Pair, 24), (OracleBatch, 6), (LabelledPair, 6)])
def test_what_measures_was_not_trained_on_with_labels(batch_type: type, measured: int) -> None:
    data = Toy(holdout=0.25)
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(batch_type=batch_type), global_rank=0, world_size=1)  # type: ignore[assignment]
    data.setup("fit")
    assert len(data.evaluation_rows[1]) == measured
    if batch_type is not Pair:
        held = set(data.evaluation_rows[1].rows.tolist())  # type: ignore[attr-defined]
        assert not held & set(data.training_rows()["oracle"].rows.tolist())
    assert len(data.predict_dataloader().dataset) == 24  # type: ignore[arg-type]


def trained_by(batch_type: type) -> Any:
    """What data know of the trainer of a method."""
    return SimpleNamespace(lightning_module=SimpleNamespace(batch_type=batch_type), global_rank=0, world_size=1, training=True)


def test_the_next_method_has_a_split_of_its_own() -> None:
    data = Toy(holdout=0.25)
    for batch_type, measured in ((Pair, 24), (OracleBatch, 6), (Pair, 24)):
        data.trainer = trained_by(batch_type)
        data.setup("fit")
        assert len(data.evaluation_rows[1]) == measured
    bare = Toy(target=Domain("b", Images(images(24).images, torch.full((24,), -1)), labelled=False))
    bare.setup("fit")
    bare.trainer = trained_by(OracleBatch)
    with pytest.raises(UserError, match="'b' has none"):
        bare.setup("fit")


def test_the_labels_of_the_rows_that_measure_decide_what_is_tested() -> None:
    bare = Images(images(24).images, torch.full((24,), -1))
    assert len(ready(target=Domain("b", bare, images(5), labelled=False)).test_dataloader()) == 2
    assert len(ready(target=Domain("b", images(24), bare)).test_dataloader()) == 1
    some = images(24)
    some.labels[3:] = -1
    data = ready(target=Domain("b", some, labelled=False))
    assert len(data.test_dataloader()) == 2
    data.trainer = trained_by(OracleBatch)
    with pytest.raises(UserError, match="'b' has rows without labels, the first: 3; label them"):
        data.setup("fit")


@pytest.mark.parametrize("limit", [2, 0.5])
def test_resume_is_exact_where_the_batches_of_an_epoch_are_limited(limit: float, tmp_path: Path) -> None:
    def fitted(**options: Any) -> SourceOnly:
        seed_everything(0, verbose=False)
        method = SourceOnly(backbone=toy.Tiny(), task=toy.CLASSES)
        toy.trainer(4, limit_train_batches=limit, **options).fit(method, toy.Toy(), ckpt_path=path)
        return method

    path = None
    whole = fitted(enable_checkpointing=True, callbacks=[ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)])
    path = tmp_path / "epoch=1.ckpt"
    resumed = fitted()
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in whole.state_dict().items())


def test_what_is_no_image_is_not_augmented() -> None:
    data = Toy(augment=[Augment()])
    data.trainer = trained_by(SourceBatch)
    batch = SourceBatch(Images(torch.zeros(4, 5), torch.zeros(4))[torch.arange(4)])
    with pytest.raises(UserError, match=r"--data.augment changes images \(n, c, h, w\), and these inputs are \(4, 5\)"):
        data.on_after_batch_transfer(batch, 0)


# Options of the authors' recipes


def test_labelled_batches_are_balanced_where_it_is_asked_for_and_the_target_never_is() -> None:
    labels = torch.tensor([0] * 30 + [1] * 4 + [2] * 4 + [3] * 2)
    uneven = Domain("a", Images(torch.zeros(40, 1, 6, 6, dtype=torch.uint8), labels))
    for balanced in (None, True):
        data = ready(source=uneven, batch_size=8, steps=4, balanced=balanced)
        for batch in data.train_dataloader():
            counts = batch[0].source.y.bincount(minlength=4)
            assert (counts.tolist() == [2, 2, 2, 2]) is bool(balanced)
    assert type(data.sampler(uneven.train, 4, 0, 0, 1, "target")) is Steps


def test_batches_are_balanced_over_pooled_domains_where_it_is_asked_for() -> None:
    pooled = Domain("a", Pooled([images(40), images(8), images(12)]))
    data = ready(source=pooled, batch_size=9, steps=4, balanced="domains")
    for batch in data.train_dataloader():
        assert batch[0].source.domain.bincount().tolist() == [3, 3, 3]
    assert type(data.sampler(pooled.train, 4, 0, 0, 1, "labelled")) is Steps
    assert domains_of(Subset(pooled.train, torch.tensor([3, 41, 59]))).tolist() == [0, 1, 2]  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"--data.balanced domains balances pooled source domains, and there is one: name several"):
        ready(balanced="domains").train_dataloader()


def test_a_batch_has_as_many_unlabelled_rows_as_it_is_told() -> None:
    data = ready(batch_size=4, steps=3, unlabelled_ratio=3)
    assert [(len(batch[0].source.y), len(batch[0].target.row)) for batch in data.train_dataloader()] == [(4, 12)] * 3
    with pytest.raises(UserError, match=r"DeepJDOT|'transport' pairs the rows of two domains, and --data\.unlabelled_ratio 2"):
        toy.trainer(1).fit(DeepJDOT(backbone=toy.Tiny(), task=toy.CLASSES), toy.Toy(unlabelled_ratio=2))


def test_validation_looks_at_training_inputs_where_it_is_asked_to() -> None:
    target = Domain("b", images(24), images(9))
    for where, rows in ((None, 9), ("train", 24)):
        data = ready(target=target, validate_on=where)
        measured = [sum(len(batch.y) for batch in loader) for loader in (data.val_dataloader()[1], data.test_dataloader()[1])]
        assert measured == [rows, 9]


def test_a_target_that_is_split_already_or_whose_labels_are_seen_is_not_held_out_of() -> None:
    with pytest.raises(UserError, match=r"validate_on holdout splits the target .* 'b' has test rows of its own"):
        ready(target=Domain("b", images(24), images(9)), validate_on="holdout")
    data = Toy(target=Domain("b", images(24)), validate_on="holdout")
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(batch_type=OracleBatch))  # type: ignore[assignment]
    with pytest.raises(UserError, match="the method trains on labels of it"):
        data.setup("fit")
