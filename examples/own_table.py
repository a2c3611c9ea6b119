"""Adapt from one table of numbers to another, both DataFrames: `python examples/own_table.py [EPOCHS]`."""

import sys

import numpy as np
import pandas as pd

import tlda
from tlda.backbones import MLP
from tlda.data import Tabular
from tlda.methods import DeepCORAL

random = np.random.default_rng(0)


def patients(count: int, shift: float) -> pd.DataFrame:
    """Two measurements, moved by ``shift``, and whether their sum is high."""
    x = random.normal(size=(count, 2))
    return pd.DataFrame({"age": x[:, 0] + shift, "pulse": x[:, 1] - shift, "ill": np.where(x.sum(1) > 0, "yes", "no")})


data = Tabular.of_frames(patients(400, 0.0), patients(400, 1.0), label="ill", steps=20)
run = tlda.fit(lambda: DeepCORAL(backbone=MLP(2), task=data.task), data, max_epochs=int(sys.argv[1]) if sys.argv[1:] else 10)
print(tlda.test(run, data))
print(pd.DataFrame(tlda.predict(run, data)).head())
