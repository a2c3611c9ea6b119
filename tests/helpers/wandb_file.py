"""A reader of W&B's offline runs, for which wandb itself has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32 * 1024, 7


def records(path: Path) -> Iterator[Any]:
    """The records of a `.wandb` file: LevelDB's log, blocks of 32 KiB, after a file header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:  # what is left of a block is too short for a header
            place += BLOCK - place % BLOCK
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # full, or last; 2 and 3 are the first and the middle ones
            yield Record.FromString(whole)
            whole = b""


def history(found: list[Any]) -> dict[str, list[Any]]:
    """The logged values by name, in order."""
    values: dict[str, list[Any]] = {}
    for record in found:
        for item in record.history.item:
            values.setdefault("/".join(item.nested_key) or item.key, []).append(json.loads(item.value_json))
    return values


def config(found: list[Any]) -> dict[str, Any]:
    """The configuration by name."""
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for record in found for item in record.config.update}


def summary(found: list[Any]) -> dict[str, Any]:
    """The summary by name, as the last record of each has it."""
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for record in found for item in record.summary.update}
