"""The sections of the report of a run: the error over a stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.helpers.toy import Tiny, Toy, trainer
from tlda.data.stream import Stream
from tlda.methods import SourceOnly
from tlda.report.page import Figure
from tlda.report.sections import Side, stream_sections
from tlda.report.seen import FinishedRun


def side(data: Toy) -> Side:
    """An untrained network, of which the report has made no outputs."""
    outcome: Any = None
    return Side("after", "red", FinishedRun(Path(), SourceOnly(backbone=Tiny(), task=data.task), data, trainer(), 0, {}), outcome)


def test_the_error_over_a_stream_is_a_line_of_its_parts() -> None:
    data = Toy(n=60, stream=Stream(order="class", batch_size=10))
    found = side(data)
    (_, measured) = found.run.trainer.test(found.run.method, data, verbose=False)
    (section,) = stream_sections([found], data)
    (figure,) = section.blocks
    assert isinstance(figure, Figure)
    (line,) = ElementTree.fromstring(figure.plots[0]).iter("polyline")
    errors = found.run.passed(data)
    assert len(line.attrib["points"].split()) == len(errors) == 20
    assert sum(errors) / 20 == pytest.approx(1 - measured["test/target/accuracy"])
    assert f"after ends at {100 * errors[-1]:.4g}" in figure.plots[0]


def test_without_a_stream_there_is_no_such_section() -> None:
    data = Toy(n=60)
    assert stream_sections([side(data)], data) == []
