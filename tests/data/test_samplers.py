from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tlda.data import Once, Steps
from tlda.data.samplers import Balanced


def batches(sampler: Steps, epoch: int = 0) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return [rows.tolist() for rows in sampler]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    first = batches(Steps(50, 8, 12, seed=3), epoch=5)
    again = Steps(50, 8, 12, seed=3)
    batches(again, epoch=1)  # what was read before changes nothing
    assert batches(again, epoch=5) == first
    assert batches(Steps(50, 8, 12, seed=3), epoch=6) != first
    assert batches(Steps(50, 8, 12, seed=4), epoch=5) != first


def test_each_row_comes_once_in_a_pass() -> None:
    rows = sum(batches(Steps(20, 6, 10)), [])  # noqa: RUF017
    assert all(sorted(rows[start : start + 20]) == list(range(20)) for start in (0, 20, 40))


def test_an_epoch_is_one_pass_unless_told() -> None:
    assert len(Steps(100, 8)) == len(batches(Steps(100, 8))) == 12
    assert len(batches(Steps(5, 8))) == 1
    assert [len(rows) for rows in batches(Steps(5, 8, 3))] == [8, 8, 8]


def test_two_processes_take_the_batches_of_one() -> None:
    alone = batches(Steps(37, 8, 9, seed=1), epoch=2)
    ranks = [batches(Steps(37, 4, 9, seed=1, rank=rank, world_size=2), epoch=2) for rank in (0, 1)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == alone


@pytest.mark.parametrize("size", [1, 7, 16, 33])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_reads_each_row_once_with_as_many_batches_everywhere(size: int, world_size: int) -> None:
    ranks = [Once(size, 4, rank, world_size) for rank in range(world_size)]
    read: list[list[Tensor]] = [list(sampler) for sampler in ranks]
    assert sorted(torch.cat(sum(read, [])).tolist()) == list(range(size))  # noqa: RUF017
    assert {len(part) for part in read} == {len(sampler) for sampler in ranks}
    assert len({len(part) for part in read}) == 1
    assert max(len(rows) for part in read for rows in part) <= 4


@pytest.mark.parametrize("labels", [torch.arange(3).repeat_interleave(40), torch.arange(120) % 3])
def test_a_batch_of_evaluation_is_like_the_whole_however_its_rows_lie(labels: Tensor) -> None:
    assert all(labels[rows].bincount(minlength=3).min() >= 2 for rows in Once(120, 20))
    assert all(torch.equal(a, b) for a, b in zip(Once(120, 20), Once(120, 20), strict=True))


@pytest.mark.parametrize("batch_size", [4, 8, 10, 2])
def test_a_balanced_batch_has_each_class_as_often_as_the_others_or_once_more(batch_size: int) -> None:
    labels = torch.tensor([0] * 50 + [1] * 7 + [3] * 3 + [-1] * 9 + [2] * 11)
    sampler = Balanced(labels, batch_size, 30, seed=2)
    drawn = batches(sampler)
    for rows in drawn:
        counts = labels[rows].bincount(minlength=4)
        assert counts.max() - counts.min() <= 1
    rows = [row for batch in drawn for row in batch]
    assert (labels[rows] >= 0).all()
    first = [row for row in rows if labels[row] == 1][:7]
    assert sorted(first) == list(range(50, 57))  # a pass over the rows of a class, before any comes again
    assert batches(Balanced(labels, batch_size, 30, seed=2)) == drawn != batches(sampler, epoch=1)


def test_two_processes_take_the_balanced_batches_of_their_own() -> None:
    labels = torch.arange(40) % 4
    ranks = [batches(Balanced(labels, 8, 9, seed=1, rank=rank, world_size=2)) for rank in (0, 1)]
    for a, b in zip(*ranks, strict=True):
        assert [labels[rows].bincount().tolist() for rows in (a, b)] == [[2] * 4] * 2
        assert a != b
