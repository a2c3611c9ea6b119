"""The results of a ranking as they are kept: what is not of their form is damaged, and is measured again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tlda.options.limits import is_finite


def read(path: Path) -> dict[str, Any]:
    """The results at ``path``; nothing where they are not there, or, which is said, damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        print(f"tlda: {path} is damaged and is left out: what it lacks is measured when the command runs without --render")
        return {}
    return found


def mapping(value: object) -> dict[str, Any]:
    """``value`` where it is a mapping, else nothing."""
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    """Whether ``value`` is a number; not finite too, but none that no float holds."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and is_finite(value))


def _is_accuracy(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def is_entry(value: object) -> bool:
    """Whether ``value`` is what is measured of a candidate on a task, fine-tuning apart."""
    if not isinstance(value, dict) or not isinstance(value.get("key"), str) or not isinstance(value.get("scores"), dict):
        return False
    if any(type(value.get(name)) is not int for name in ("rows", "width")):
        return False
    scores = value["scores"].values()
    whole = all(isinstance(score, dict) and all(_is_number(score.get(name)) for name in ("value", "seconds")) for score in scores)
    return whole and _is_accuracy(value.get("probe"))


def is_tuned(value: object, key: str) -> bool:
    """Whether ``value`` is the result of fine-tuning with the settings of ``key``."""
    return isinstance(value, dict) and value.get("key") == key and _is_accuracy(value.get("accuracy"))


def are_pairs(value: object) -> bool:
    """Whether ``value`` is the distances of pairs of domains."""
    return isinstance(value, list) and bool(value) and all(_is_pair(pair) for pair in value)


def _is_pair(value: Any) -> bool:
    if not isinstance(value, dict) or not all(isinstance(value.get(name), str) for name in ("source", "target")):
        return False
    distances = all(_is_number(value.get(name)) and is_finite(value[name]) for name in ("a_distance", "mmd"))
    return distances and ("transfer" not in value or _is_accuracy(value["transfer"]))
