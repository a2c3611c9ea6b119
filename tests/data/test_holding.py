"""Rows that are held out, and labels that are drawn: never a whole class, and those of ever where none would be."""

from __future__ import annotations

import pytest
import torch

from tests.data.test_pair import Toy, images
from tests.helpers.toy import Toy as Blobs
from tlda.batch import OracleBatch
from tlda.data import Domain, DomainPair, Features, Images, Relabelled, Tasks
from tlda.data.augment import RandomHorizontalFlip
from tlda.data.holding import hold_out, shots
from tlda.errors import UserError

RARE = torch.tensor([0] * 30 + [1] * 30 + [2])
"""The classes of 61 rows, of which the last has one."""


def simple(rows: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """The draw without regard to classes."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed)).tolist()
    held = max(1, round(share * rows))
    return order[held:], sorted(order[:held])


@pytest.mark.parametrize("seed", range(30))
def test_a_rare_class_is_trained_on_and_all_else_is_as_it_was(seed: int) -> None:
    train, held = (rows.tolist() for rows in hold_out("a", 61, RARE, 0.1, seed))
    usual_train, usual_held = simple(61, 0.1, seed)
    if 60 in usual_held:
        usual_held.remove(60)
        usual_train.append(60)
    assert (train, held) == (usual_train, usual_held)


def test_some_seed_would_hold_the_rare_class_out() -> None:
    assert [seed for seed in range(30) if 60 in simple(61, 0.1, seed)[1]]


def test_rows_without_a_label_and_words_are_drawn_as_they_come() -> None:
    for labels in (torch.full((20,), -1), torch.zeros(55), torch.zeros(20, 2)):
        assert tuple(rows.tolist() for rows in hold_out("a", 20, labels, 0.3, 1)) == simple(20, 0.3, 1)


@pytest.mark.parametrize(
    ("rows", "classes", "share", "expected"),
    [
        (1, 1, 0.1, "leaves none to measure"),
        (4, 4, 0.9, "leaves none to measure"),
        (4, 0, 0.99, "leaves none to train on"),
    ],
)
def test_a_holdout_that_leaves_nothing(rows: int, classes: int, share: float, expected: str) -> None:
    labels = torch.arange(rows) % classes if classes else torch.full((rows,), -1)
    with pytest.raises(UserError, match=rf"'a' has {rows} rows, of which --data.holdout {share} {expected}"):
        hold_out("a", rows, labels, share, 0)


def test_a_large_holdout_leaves_a_row_of_each_class() -> None:
    train, held = hold_out("a", 40, torch.arange(40) % 4, 0.99, 0)
    assert ((train % 4).sort().values.tolist(), len(held)) == ([0, 1, 2, 3], 36)


def test_shots_are_all_that_a_class_has_where_it_has_fewer() -> None:
    assert RARE[shots(61, RARE, 3, 4, 0)].tolist() == [0, 0, 0, 1, 1, 1, 2]


def of_classes(*labels: int) -> Images:
    return Images(images(len(labels)).images, torch.tensor(labels))


def test_a_class_without_a_row_to_train_on_is_said() -> None:
    data = Toy(source=Domain("a", of_classes(0, 0, 1, 1, 3, 3), images(8)))
    with pytest.warns(UserWarning, match=r"'a' has no row of 'r' to train on"):
        data.setup("fit")
    labelled = Toy(target=Domain("b", of_classes(0, 1, 1), images(8)))
    labelled.trainer = type("Run", (), {"lightning_module": type("Net", (), {"batch_type": OracleBatch})})  # type: ignore[assignment]
    with pytest.warns(UserWarning, match=r"'b' has no row of 'r', 's' to train on"):
        labelled.setup("fit")


@pytest.mark.parametrize("seed", [-1, 1e30, 2**32, 0.5, float("nan")])
def test_a_seed_that_is_none(seed: float) -> None:
    with pytest.raises(UserError, match=r"--data.seed is .* from 0 to 4294967295"):
        Toy(seed=seed)


def test_a_number_of_processes_that_is_none() -> None:
    with pytest.raises(UserError, match=r"--data.num_workers is -1: it is a number of processes, 0 or more"):
        Toy(num_workers=-1)


# Options of data within data


GIVEN = [
    {"batch_size": 128},
    {"steps": 9},
    {"shots": 3},
    {"holdout": 0.4},
    {"eval_batch_size": 7},
    {"augment": [RandomHorizontalFlip()]},
    {"num_workers": 2},
]


@pytest.mark.parametrize("given", GIVEN)
def test_options_of_inner_data_that_do_nothing_are_refused(given: dict[str, object]) -> None:
    (name,) = given
    inner: DomainPair = Blobs(**given)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=rf"^{name} .* of Toy does nothing here: give it as --data.{name}, or leave it out"):
        Relabelled(inner)
    assert Relabelled(inner, **given).data is inner  # type: ignore[arg-type]
    if name == "augment":
        with pytest.raises(UserError, match="leave augment out"):
            Features(inner, lambda: None)  # type: ignore[arg-type, return-value]
    elif name != "num_workers":
        with pytest.raises(UserError, match=rf"^{name} .* of Toy does nothing here"):
            Features(inner, lambda: None)  # type: ignore[arg-type, return-value]
    if name != "steps":
        with pytest.raises(UserError, match=rf"^{name} .* of Tasks does nothing here: give it as --data.tasks.NAME.init_args.{name}"):
            Tasks({"a": Blobs()}, **given)  # type: ignore[arg-type]
        assert Tasks({"a": inner}).tasks["a"] is inner


def test_steps_of_a_task_are_those_of_all() -> None:
    assert Tasks({"a": Blobs(steps=9), "b": Blobs(steps=9)}).steps is None
    assert Tasks({"a": Blobs(steps=9), "b": Blobs()}, steps=9).steps == 9
    for tasks, steps in (({"a": Blobs(steps=9), "b": Blobs()}, None), ({"a": Blobs(steps=9), "b": Blobs(steps=8)}, None)):
        with pytest.raises(UserError, match=r"--data.tasks.a has steps 9, and all tasks have as many: give --data.steps"):
            Tasks(tasks, steps)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"--data.tasks.a has steps 9"):
        Tasks({"a": Blobs(steps=9)}, steps=4)
