"""What a parsed configuration may hold, beside the types that the parser checks."""

from __future__ import annotations

import pytest

from tlda.config.build import resolve
from tlda.errors import UserError
from tlda.options.limits import in_range, is_finite

LENET = {"class_path": "LeNet", "init_args": {"size": 16, "channels": 1}}
DATA = {"class_path": "Digits", "init_args": {"source": "fonts", "target": "handwritten", "size": 16}}


@pytest.mark.parametrize(
    ("method", "option", "given", "sentence"),
    [
        ("DANN", "optimizer", {"lr": 0.1}, "--model.optimizer has options and no class: .* by --model.optimizer Adam"),
        ("ADDA", "gan", {"weight_decay": 0.1}, "--model.gan has options and no class"),
    ],
)
def test_options_of_an_optimizer_without_its_class(method: str, option: str, given: dict[str, float], sentence: str) -> None:
    model = {"class_path": method, "init_args": {"backbone": LENET, option: {"class_path": "Optim", "init_args": given}}}
    with pytest.raises(UserError, match=sentence):
        resolve({"model": model, "data": DATA})
    del model["init_args"][option]["class_path"]  # type: ignore[index]
    with pytest.raises(UserError):
        resolve({"model": model, "data": DATA})


@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), float("inf")])
def test_what_no_float_holds_is_out_of_every_range(value: float) -> None:
    assert not is_finite(value)
    assert not in_range("trade_off", value)


def test_what_a_float_holds_is_finite() -> None:
    assert all(map(is_finite, (0, -1, 1e308, 10**300, 0.5)))
