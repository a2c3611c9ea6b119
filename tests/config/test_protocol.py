"""What decides a result, as the key of a cell has it."""

from __future__ import annotations

from typing import Any

import pytest

from tlda.config import protocol
from tlda.config.protocol import decisive, decisive_trainer, digest, lines, without_nulls


def config(data: str) -> dict[str, Any]:
    return {"model": {"class_path": "tlda.methods.DANN", "init_args": {}}, "data": {"class_path": data, "init_args": {}}, "trainer": {}}


def test_the_revision_of_a_class_is_a_line_where_the_class_is_named_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REVISIONS", {"Digits": 3})
    within = {"class_path": "Features", "init_args": {"data": {"class_path": "tlda.data.Digits"}}}
    assert lines(config("tlda.data.Digits"))["revisions.Digits"] == 3
    assert lines({**config("tlda.data.Digits"), "data": within})["revisions.Digits"] == 3
    assert not [name for name in lines(config("tlda.data.Tagging")) if name.startswith("revisions")]


def test_the_revision_of_a_method_is_not_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REVISIONS", {"DANN": 2, "Digits": 3, "LeNet": 4})
    found = config("tlda.data.Digits")
    found["model"]["init_args"] = {"backbone": {"class_path": "tlda.backbones.LeNet", "init_args": {}}}
    assert {name for name in lines(found) if name.startswith("rev")} == {"revisions.DANN", "revisions.Digits", "revisions.LeNet"}
    assert {name for name in protocol.protocol(found) if name.startswith("rev")} == {"revisions.Digits", "revisions.LeNet"}


PLAIN: list[dict[str, Any]] = [
    {},
    {"devices": "auto", "strategy": "auto", "num_nodes": 1, "sync_batchnorm": False, "plugins": None},
    {"devices": 1, "strategy": None, "sync_batchnorm": None, "num_nodes": None},
    *({"devices": devices} for devices in ("1", [1], [0], "0,", "1,", None)),
]
"""The trainer of a cell as it is by itself: one process."""

OTHERS: list[tuple[str, Any, Any]] = [
    ("devices", 2, 2),
    ("devices", "2", 2),
    ("devices", "0,1", 2),
    ("devices", [0, 1, 3], 3),
    ("devices", -1, -1),
    ("num_nodes", 2, 2),
    ("strategy", "ddp", "ddp"),
    ("sync_batchnorm", True, True),
    ("plugins", ["x"], ["x"]),
]


@pytest.mark.parametrize("trainer", PLAIN)
def test_one_process_is_what_a_cell_runs_by_itself(trainer: dict[str, Any]) -> None:
    assert decisive_trainer(trainer) == {}
    assert decisive_trainer({"max_epochs": 3, **trainer}) == {"max_epochs": 3}


@pytest.mark.parametrize(("name", "value", "kept"), OTHERS)
def test_how_many_processes_share_a_batch_decides_a_result(name: str, value: Any, kept: Any) -> None:
    assert decisive_trainer({name: value}) == {name: kept}
    parts: dict[str, Any] = {"model": {}, "data": {}}
    plain, other = (digest(without_nulls(decisive({**parts, "trainer": trainer}))) for trainer in ({}, {name: value}))
    assert plain != other
