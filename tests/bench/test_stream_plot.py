"""The curves over the stream: the mean over seeds, of those results that have one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from tlda.bench.stream_plot import over_stream, stream_figure, stream_plot

TABLE: Any = SimpleNamespace(
    tasks={"iid": {}, "plain": {}}, methods={"none": {}, "tent": {}}, label=str, title="t", path=SimpleNamespace(stem="t")
)
RESULTS: Any = {
    ("none", "iid", 0): {"stream": [0.5, 0.25]},
    ("none", "iid", 1): {"stream": [0.25, 0.25]},
    ("none", "plain", 0): {"stream": None},
    ("tent", "plain", 0): {},
}


def test_curves_are_means_over_seeds_of_what_was_streamed() -> None:
    found = over_stream(TABLE, RESULTS)
    assert found == {"iid": {"none": [37.5, 25.0]}}
    (panel,) = stream_figure(TABLE, found).axes
    (line,) = panel.get_lines()
    assert np.asarray(line.get_xdata()).tolist() == [25.0, 75.0]
    assert np.asarray(line.get_ydata()).tolist() == [37.5, 25.0]
    assert stream_plot(TABLE, {}) is None
    assert (stream_plot(TABLE, RESULTS) or "").startswith("<?xml")
