"""Pairs of two modalities: who is paired with whom, what a batch has, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.helpers.toy import Tiny, Toy, blobs, trainer
from tlda.batch import Paired, PairedBatch, Rows
from tlda.data import Domain, Images, Pairs
from tlda.data.augment import RandomHorizontalFlip
from tlda.data.modalities import drawn
from tlda.errors import UserError
from tlda.methods import Distill
from tlda.tasks import Classification, Task


class Named(Toy):
    """The blobs, whose classes have other names, in another order, and whose test rows are apart."""

    names = ("two", "zero", "one")

    @property
    def task(self) -> Task:
        return Classification(self.names)

    def load(self) -> tuple[Domain, Domain]:
        def rows(n: int, seed: int) -> Images:
            images, labels = blobs(n, 0.0, seed)
            return Images(images, (labels + 1) % 3)

        return Domain("a", rows(self.n, 0), rows(30, 2)), Domain("b", rows(self.n, 1), rows(30, 3))


RENAMED: dict[str, str | int] = {"class 0": "zero", "class 1": "one", "class 2": "two"}


def made(a: Toy, b: Toy, **options: Any) -> Any:
    data = Pairs(a, b, batch_size=16, steps=6, seed=0, **options)
    data.setup("fit")
    return data


def kinds(rows: Rows, numbers: torch.Tensor) -> list[str]:
    """The names of the classes of ``Named``'s rows."""
    return [Named.names[label] for label in rows.labels[numbers].tolist()]


def test_pairs_by_class_are_of_one_class_and_by_other_names_too() -> None:
    data = made(Named(), Toy(), renamed=RENAMED)
    rows = data.training_rows()["paired"]
    own = [str(RENAMED[f"class {label}"]) for label in rows.b.labels.tolist()]
    assert kinds(rows.a, rows.partners) == own
    assert len(rows.partners.unique()) > 0.8 * len(rows)  # each comes once before one comes again
    batch = data.prepare(rows[torch.tensor([3, 5])])
    assert isinstance(batch, Paired)
    assert batch._fields == ("a", "b", "row")
    assert batch.a.shape == batch.b.shape == (2, 1, 4, 4)
    assert batch.b.max() <= 1
    torch.testing.assert_close(batch.a, Named().load()[0].train[rows.partners[[3, 5]]].x / 255)


def test_shuffled_pairs_have_the_same_halves_torn_apart() -> None:
    right, torn = (made(Named(), Toy(), renamed=RENAMED, shuffled=shuffled).training_rows()["paired"] for shuffled in (False, True))
    assert sorted(right.partners.tolist()) == sorted(torn.partners.tolist())
    own = [str(RENAMED[f"class {label}"]) for label in torn.b.labels.tolist()]
    assert 0.2 < sum(a == b for a, b in zip(kinds(torn.a, torn.partners), own, strict=True)) / len(own) < 0.5


def test_pairs_by_row_are_row_by_row_and_so_are_those_that_measure() -> None:
    data = made(Named(), Named(), by="row")
    rows = data.training_rows()["paired"]
    assert torch.equal(rows.partners, torch.arange(192))
    some = torch.tensor([7, 2, 29])
    x, belongs = data.measured_pairs(1, some)
    torch.testing.assert_close(x, data.a.loaded[1].test.images[some] / 255)
    assert belongs.tolist() == [7, 2, 29]
    held = made(Toy(), Toy(), by="row")  # no test rows: of the source some are held out
    batch = held.evaluation_rows[0][torch.tensor([4, 0])]
    torch.testing.assert_close(held.measured_pairs(0, batch.row)[0], batch.x / 255)
    assert {*held.training_rows()["paired"].partners.tolist()}.isdisjoint(held.evaluation_rows[0].rows.tolist())


def test_measured_pairs_by_class_are_of_test_rows() -> None:
    data = made(Named(), Toy(), renamed=RENAMED)
    order = torch.randperm(192)
    x, belongs = data.measured_pairs(1, order)
    assert torch.equal(belongs, data.evaluation_rows[1].labels[order])
    own = [str(RENAMED[f"class {label}"]) for label in belongs.tolist()]
    test = data.a.loaded[1].test
    place = (x[:, None] == test.images / 255).flatten(2).all(2).long().argmax(1)
    assert kinds(test, place) == own


def test_labels_are_few_where_they_are_read_and_pairs_are_whole() -> None:
    rows = made(Toy(), Toy(), labels=2).training_rows()
    assert rows["source"].labels.bincount().tolist() == [2, 2, 2]
    assert len(rows["paired"]) > 150


def test_a_batch_of_a_run_has_pairs_alone() -> None:
    assert PairedBatch._fields == ("paired",)
    assert not {"y", "domain"} & {*Paired._fields}


@pytest.mark.parametrize(
    ("a", "b", "options", "sentence"),
    [
        (Toy(n=60), Toy(), {"by": "row"}, "row n of a belongs to row n of b, and 'blobs' has 60 and 'blobs' has 192 rows"),
        (Named(), Toy(), {}, "not both have 'class 0': give the same classes, or their names in a by --data.renamed"),
        (Toy(), Toy(), {"labels": 0}, "--data.labels is 0: it is a number of labels per class"),
        (Toy(), Toy(augment=[RandomHorizontalFlip()]), {}, "the inputs of b are paired as they are: leave augment out"),
        (Toy(shots=3), Toy(), {}, "shots 3 of Toy does nothing here: give it as --data.shots"),
    ],
)
def test_what_does_not_fit_is_a_sentence(a: Toy, b: Toy, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        made(a, b, **options)


def test_rows_of_no_class_or_of_a_class_without_partners_are_refused() -> None:
    with pytest.raises(UserError, match="b has rows of the class number 2 of a, which has none"):
        drawn(torch.tensor([0, 2]), torch.tensor([0, 1]), torch.Generator())
    with pytest.raises(UserError, match=r"rows without a label belong to no row of a by class: give --data\.by row"):
        made(Toy(), Toy()).partners(1, Images(torch.zeros(2, 1, 4, 4), torch.tensor([0, -1])), True)


def test_data_without_pairs_are_refused_where_they_are_needed() -> None:
    data = Toy()
    method = Distill(backbone=Tiny(), task=data.task)
    with pytest.raises(UserError, match="the method learns from paired rows, and Toy has none: give --data Pairs"):
        trainer(1).fit(method, data)
