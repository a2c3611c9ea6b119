"""The published numbers beside the field's tables: each is one of the table's, and each printed average is that of its tasks."""

from __future__ import annotations

from statistics import mean

import pytest

from tests.conftest import REPO
from tlda.bench.render import document
from tlda.bench.table import load_table
from tlda.documents.grid import Grid

TABLES = {"office31": 184, "office_home": 143, "visda2017": 33, "domainnet": 8, "office_home_vit": 8}
"""The tables with published numbers, and the count of these."""

DENSE = {"segmentation": 16, "detection": 14}
"""The same of masks and boxes, whose published methods are mostly none of the table's rows."""


@pytest.mark.parametrize("name", TABLES)
def test_published_numbers_are_of_the_table_and_add_up(name: str) -> None:
    table = load_table(REPO / f"benchmarks/tables/{name}.yaml")
    numbers = table.published["numbers"]
    assert len(numbers) == TABLES[name]
    assert {entry["task"] for entry in numbers} <= {*table.tasks, "average"}
    assert {entry["method"] for entry in numbers} == {*table.methods}
    assert "test images" in table.published["protocol_differs"]
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for entry in numbers:
        rows.setdefault((entry["method"], entry["source"]), {})[entry["task"]] = float(entry["value"])
    for row, found in rows.items():
        tasks = [value for task, value in found.items() if task != "average"]
        assert len(tasks) in (0, len(table.tasks)), row
        if tasks and "average" in found:
            assert mean(tasks) == pytest.approx(found["average"], abs=0.1), row


def test_a_few_published_numbers_as_they_are_printed() -> None:
    numbers = load_table(REPO / "benchmarks/tables/office31.yaml").published["numbers"]
    found = {(entry["method"], entry["task"], entry["source"].split("'")[0]): entry["value"] for entry in numbers}
    assert [found["mdd", task, "TLLib"] for task in ("amazon_webcam", "dslr_amazon", "average")] == [95.6, 76.6, 89.6]
    assert found["cdan_e", "average", "the paper"] == 87.7
    assert found["shot", "webcam_amazon", "the authors"] == 74.3


@pytest.mark.parametrize("name", DENSE)
def test_published_numbers_of_masks_and_boxes_are_of_rows_or_of_named_methods(name: str) -> None:
    table = load_table(REPO / f"benchmarks/tables/{name}.yaml")
    numbers, others = table.published["numbers"], table.published["others"]
    assert len(numbers) == DENSE[name]
    assert {entry["task"] for entry in numbers} <= {*table.tasks}
    assert {entry["method"] for entry in numbers} <= {*table.methods, *others}
    assert {*others} == {entry["method"] for entry in numbers} - {*table.methods}
    assert "test images" in table.published["protocol_differs"]
    blocks = document(table.narrowed("source_only", next(iter(table.tasks)), "0"), {})
    shown = {row[0] for block in blocks if isinstance(block, Grid) and block.name == "published" for row in block.rows}
    entries = [entry["method"] for entry in numbers if entry["task"] == next(iter(table.tasks))]
    assert shown == {others.get(method, "source only") for method in entries if method in others or method == "source_only"}
