"""The target as a stream: its orders, each row once, and where adaptation starts over."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.helpers.toy import Toy, trainer
from tests.methods.test_contract import make
from tlda.batch import Output, Sample
from tlda.data import Images
from tlda.data.stream import Stream
from tlda.errors import UserError
from tlda.tasks import Classification
from tlda.training.streaming import Passed

LABELS = torch.arange(60) % 3


def runs(labels: torch.Tensor) -> int:
    """How often the class changes."""
    return int((labels[1:] != labels[:-1]).sum())


@pytest.mark.parametrize("order", ["iid", "class", "dirichlet", "mixed"])
def test_each_row_passes_once_in_an_order_of_the_seed(order: Any) -> None:
    stream = Stream(order, batch_size=7, shifts=["none", "fog5"])
    batches = stream.batches(LABELS, 0)
    assert sorted(torch.cat(batches).tolist()) == list(range(120))
    assert all(torch.equal(a, b) for a, b in zip(batches, stream.batches(LABELS, 0), strict=True))
    assert not torch.equal(torch.cat(batches), torch.cat(stream.batches(LABELS, 1)))
    assert max(map(len, batches)) == 7
    assert any(len({*(batch // 60).tolist()}) > 1 for batch in batches) is (order == "mixed")


def test_orders_differ_in_how_long_a_class_stays() -> None:
    by = {order: runs(LABELS[torch.cat(Stream(order).batches(LABELS, 0))]) for order in ("iid", "class", "dirichlet")}
    assert by["class"] == 2
    assert by["class"] < by["dirichlet"] < by["iid"]
    loose = runs(LABELS[torch.cat(Stream("dirichlet", delta=100.0).batches(LABELS, 0))])
    assert by["dirichlet"] <= loose


def test_a_shift_is_a_corruption_of_all_rows() -> None:
    data = Images(torch.full((4, 1, 4, 4), 100, dtype=torch.uint8), torch.arange(4))
    rows = Stream(shifts=["none", "brightness5"]).rows(data)
    sample = rows[torch.tensor([1, 5])]
    assert sample.x[:, 0, 0, 0].tolist() == [100, 176]
    assert sample.y.tolist() == [1, 1]
    assert sample.domain.tolist() == [0, 1]


@pytest.mark.parametrize(("reset", "expected"), [("shift", 2), ("never", 1), ("sample", 12)])
def test_adaptation_starts_over_where_the_stream_says(reset: Any, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    method: Any = make("TENT")
    begin, begun = method.begin, list[int]()

    def counted() -> Any:
        begun.append(1)
        return begin()

    monkeypatch.setattr(method, "begin", counted)
    data = Toy(n=60, stream=Stream(batch_size=10, reset=reset, shifts=["none", "contrast5"]))
    (_, found) = trainer().test(method, data, verbose=False)
    assert len(begun) == expected
    whole = found["test/target/accuracy"]
    assert whole == pytest.approx((found["test/target/none/accuracy"] + found["test/target/contrast5/accuracy"]) / 2)
    assert len(method.passed.curve()) == 20
    assert sum(method.passed.curve()) / 20 == pytest.approx(1 - whole)


def test_the_curve_is_the_error_of_each_part_in_its_order() -> None:
    passed, y = Passed(), torch.tensor([0, 1] * 20)
    logits = torch.stack((torch.ones(40), torch.zeros(40)), 1)
    logits[20:] = torch.nn.functional.one_hot(y[20:], 2).float()
    passed.count(Classification(["a", "b"]), Sample(y, y, y, torch.zeros_like(y)), Output(logits, logits))
    assert passed.curve() == [0.5] * 10 + [0.0] * 10


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"delta": 0.0}, "delta is 0"),
        ({"shifts": []}, "name one or more"),
        ({"shifts": ["fog5", "fog5"]}, "each once"),
        ({"shifts": ["fob5"]}, "no corruption 'fob'"),
        ({"order": "mixed"}, "name more, or take iid"),
    ],
)
def test_mistakes_are_one_sentence(options: dict[str, Any], match: str) -> None:
    with pytest.raises(UserError, match=match):
        Stream(**options)


def test_a_stream_of_single_rows_is_refused_where_each_is_normalised_by_itself() -> None:
    with pytest.raises(UserError, match="one image has none"):
        trainer().test(make("TENT"), Toy(n=12, stream=Stream(batch_size=1)), verbose=False)
    trainer().test(make("LAME"), Toy(n=12, stream=Stream(batch_size=1)), verbose=False)
