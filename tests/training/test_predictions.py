"""The files of predictions: answers in the order of the rows, and the features beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tlda.batch import Output, Prediction
from tlda.errors import UserError
from tlda.tasks import Classification
from tlda.training.predictions import Predictions, features_of, require_kind, write_features

COLUMNS: dict[str, Any] = {"file": ["a", "b", "c"], "class": ["cat", "dog", "cat"]}
FEATURES = torch.arange(6.0).view(3, 2)


def test_each_class_has_a_column_of_its_probability() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]])
    found = Classification(["cat", "dog", "cow"]).answers(Output(logits, logits), logits)
    assert list(found) == ["class", "confidence", "p_cat", "p_dog", "p_cow"]
    torch.testing.assert_close(torch.tensor([found[f"p_{name}"] for name in ("cat", "dog", "cow")]).T, logits.softmax(1))


def test_features_are_in_the_order_of_the_rows() -> None:
    parts = [Prediction(torch.tensor([2, 0]), {}, FEATURES[[2, 0]]), Prediction(torch.tensor([1]), {}, FEATURES[[1]])]
    assert torch.equal(features_of(parts), FEATURES)
    assert features_of([]).shape == (0, 0)


@pytest.mark.parametrize("ending", ["npy", "npz", "parquet"])
def test_features_are_written_as_their_ending_says(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"features.{ending}"
    write_features(path, COLUMNS, FEATURES)
    if ending == "npy":
        assert np.array_equal(np.load(path), FEATURES)
    elif ending == "npz":
        with np.load(path) as found:
            assert np.array_equal(found["features"], FEATURES)
            assert {name: found[name].tolist() for name in ("file", "class")} == COLUMNS
    else:
        assert pd.read_parquet(path).to_dict("list") == {**COLUMNS, "f0": [0, 2, 4], "f1": [1, 3, 5]}


def test_where_features_cannot_be_written_that_is_said_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--features is x.csv: its ending says how features are written, .npy, .npz, .parquet"):
        Predictions(None, "x.csv")
    monkeypatch.setattr("tlda.training.predictions.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"x.parquet is Parquet, which needs pandas and pyarrow.*tlda\[tabular\]"):
        require_kind("x.parquet")
