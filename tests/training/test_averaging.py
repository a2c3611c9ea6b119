"""Averages of weights: with the start (WiSE-FT), EMA and SWAD, by hand, in checkpoints and in runs that go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer, seed_everything
from torch import Tensor

import tlda
from tests.helpers.toy import Tiny, Toy, trainer
from tlda.errors import UserError
from tlda.methods import SourceOnly
from tlda.training.averaging import EMA, SWAD, Average, interpolated
from tlda.training.target import source_risk

Weights = dict[str, Tensor]


def test_the_ends_are_exact_and_the_middle_is_on_the_line() -> None:
    torch.manual_seed(0)
    start, trained = ({"a": torch.randn(50) * 10.0**k, "n": torch.tensor(k), "b": torch.randn(3)} for k in (1, 3))
    del start["b"]
    assert torch.equal(interpolated(start, trained, 0.0)["a"], start["a"])
    assert all(torch.equal(value, trained[name]) for name, value in interpolated(start, trained, 1.0).items())
    middle = interpolated(start, trained, 0.3)
    torch.testing.assert_close(middle["a"], 0.7 * start["a"] + 0.3 * trained["a"])
    assert torch.equal(middle["b"], trained["b"])
    assert middle["n"] == 3


def method(average: Average | float | None, init_from: str | None = None) -> SourceOnly:
    seed_everything(0, verbose=False)
    return SourceOnly(backbone=Tiny(), task=Toy().task, average=average, init_from=init_from)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checkpoint of a network to start from."""
    path = tmp_path_factory.mktemp("start") / "start.ckpt"
    seed_everything(5, verbose=False)
    torch.save({"state_dict": SourceOnly(backbone=Tiny(), task=Toy().task).state_dict()}, path)
    return str(path)


def fitted(average: Average | float | None, init_from: str | None, epochs: int = 2, **options: object) -> tuple[Trainer, SourceOnly]:
    """A run, which validates between its epochs."""
    run, made = trainer(epochs), method(average, init_from)
    run.fit(made, Toy(holdout=0.2), **options)  # type: ignore[arg-type]
    return run, made


def weights(made: tlda.Method) -> Weights:
    return {name: value.detach().clone() for name, value in made.network.state_dict().items()}


def same(found: Weights, expected: Weights) -> bool:
    return all(torch.equal(value, expected[name]) for name, value in found.items())


def test_a_run_answers_by_the_average_and_its_checkpoint_holds_it(start: str, tmp_path: Path) -> None:
    theirs = {name.removeprefix("network."): value for name, value in torch.load(start)["state_dict"].items()}
    trained = weights(fitted(None, start)[1])
    assert not same(trained, theirs)
    assert same(weights(fitted(1.0, start)[1]), trained)  # validating by the average has not changed the training
    at_start = weights(fitted(0.0, start)[1])
    assert same({name: value for name, value in at_start.items() if value.is_floating_point()}, theirs)
    run, made = fitted(0.3, start)
    assert same(weights(made), interpolated(theirs, trained, 0.3))
    run.save_checkpoint(path := tmp_path / "average.ckpt")
    loaded = tlda.load(path)
    assert same(weights(loaded), weights(made))
    trainer().test(loaded, Toy(), verbose=False)
    assert same(weights(loaded), weights(made))


def test_a_run_that_goes_on_trains_the_network_and_not_the_average(start: str, tmp_path: Path) -> None:
    run, _ = fitted(0.3, start, epochs=1)
    run.save_checkpoint(path := tmp_path / "half.ckpt")
    _, resumed = fitted(0.3, None, ckpt_path=path, weights_only=True)
    assert same(weights(resumed), weights(fitted(0.3, start)[1]))


def test_a_head_that_starts_at_random_is_not_averaged() -> None:
    first, trained, found = weights(method(None)), weights(fitted(None, None)[1]), weights(fitted(0.3, None)[1])
    assert torch.equal(found["head.weight"], trained["head.weight"])
    assert not torch.equal(first["head.weight"], trained["head.weight"])
    name = "backbone.layers.1.weight"
    torch.testing.assert_close(found[name], 0.7 * first[name] + 0.3 * trained[name])


def test_the_moving_average_is_by_hand() -> None:
    average, expected = EMA(0.5), None
    for step in range(4):
        average.follow({"a": torch.tensor([float(step)]), "n": torch.tensor(step)})
        kept = min(0.5, (1 + step) / (10 + step))
        expected = float(step) if expected is None else kept * expected + (1 - kept) * step
    found = average.of({"a": torch.tensor([9.0]), "n": torch.tensor(7), "b": torch.tensor([1.0])})
    torch.testing.assert_close(found["a"], torch.tensor([expected]))
    assert found["n"].item() == 7
    assert found["b"].item() == 1


def averaged(risks: list[float], **options: float) -> float:
    """What SWAD makes of one weight that is 10, 11, … in the two steps before each validation."""
    average = SWAD(**{"converged": 2, "patience": 3, "tolerance": 0.1, **options})  # type: ignore[arg-type]
    for number, risk in enumerate(risks):
        for _ in range(2):
            average.follow({"a": torch.tensor([10.0 + number])})
        average.watch(risk)
    return float(average.of({"a": torch.tensor([99.0])})["a"])


def test_swad_averages_the_steps_of_the_valley() -> None:
    assert averaged([3.0, 2.0, 1.0]) == 99.0  # it falls still: no valley has begun
    assert averaged([3.0, 1.0, 1.1]) == pytest.approx(11.5)  # from the second on
    # The limit is 1.1 times 1.05, and three validations above it end the valley before them.
    assert averaged([3.0, 1.0, 1.1, 1.0, 2.0, 2.0, 2.0, 0.5]) == pytest.approx(12.0)
    assert averaged([3.0, 1.0, 1.1, 1.0, 2.0, 1.0]) == pytest.approx(13.0)  # one above it does not


@pytest.mark.parametrize("options", [{"converged": 1}, {"converged": 4}, {"tolerance": -0.1}])
def test_swad_refuses_what_no_valley_has(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="converged is 2 or more"):
        averaged([1.0], **options)


@pytest.mark.parametrize("make", [lambda: EMA(0.9), lambda: SWAD(2, 2, 5.0)])
def test_averages_over_a_run_answer_and_go_on_bit_for_bit(
    make: Callable[[], Average], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlda.training.hooked.source_risk", lambda learner: 1 + 0.1 * learner.current_epoch)  # a valley from the first on
    trained = weights(fitted(None, None, epochs=4)[1])
    run, made = fitted(make(), None, epochs=4)
    whole = weights(made)
    assert not same(whole, trained)
    measured = trainer(1).test(made, Toy(holdout=0.2), verbose=False)[1]["test/target/accuracy"]
    assert measured == pytest.approx(float(run.callback_metrics["oracle/target/accuracy"]))  # validated by the average, too
    first, half = fitted(make(), None, epochs=2)
    first.save_checkpoint(path := tmp_path / "half.ckpt")
    assert same(weights(tlda.load(path)), weights(half))
    _, resumed = fitted(make(), None, epochs=4, ckpt_path=path, weights_only=True)
    assert same(weights(resumed), whole)
    run.save_checkpoint(end := tmp_path / "end.ckpt")
    kept = torch.load(end, weights_only=True)["tlda.average"]["trained"]
    assert same(kept, trained)  # to answer by the average has not changed the training


def test_the_risk_is_that_of_the_held_out_rows_of_the_source() -> None:
    run, made = fitted(None, None, epochs=1)
    data = run.datamodule  # type: ignore[attr-defined]
    rows = data.evaluation_rows[0]
    sample = data.prepare(rows[torch.arange(len(rows))])
    made.eval()
    expected = torch.nn.functional.cross_entropy(made(sample.x).logits, sample.y)
    assert source_risk(made) == pytest.approx(float(expected), rel=1e-5)


def test_swad_needs_validations() -> None:
    with pytest.raises(UserError, match=r"SWAD averages over the valley .* leave --trainer.limit_val_batches out"):
        trainer(1, limit_val_batches=0).fit(method(SWAD()), Toy())
