"""What decides a result, as the key of a cell has it."""

from __future__ import annotations

from typing import Any

import pytest

from tlda.config import protocol
from tlda.config.protocol import lines


def config(data: str) -> dict[str, Any]:
    return {"model": {"class_path": "tlda.methods.DANN", "init_args": {}}, "data": {"class_path": data, "init_args": {}}, "trainer": {}}


def test_the_revision_of_a_class_is_a_line_where_the_class_is_named_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REVISIONS", {"Digits": 3})
    within = {"class_path": "Features", "init_args": {"data": {"class_path": "tlda.data.Digits"}}}
    assert lines(config("tlda.data.Digits"))["revisions.Digits"] == 3
    assert lines({**config("tlda.data.Digits"), "data": within})["revisions.Digits"] == 3
    assert not [name for name in lines(config("tlda.data.Tagging")) if name.startswith("revisions")]
