"""What a table declares is checked before anything is built of it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bench.test_table import TABLE
from tlda.bench.table import load_table
from tlda.errors import UserError

TASK = TABLE["tasks"]["fonts_handwritten"]
NET = {"model": {"class_path": "DANN"}}
SPACE = {"model.trade_off": {"low": 0.1, "high": 1}}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a seed below 0": ({"seeds": [-1]}, r"the seed -1 is out of range"),
    "a seed twice": ({"seeds": [0, 0]}, r"the seed 0 occurs twice"),
    "a seed too large": ({"seeds": [2**32]}, r"the seed 4294967296 is out of range"),
    "a seed that is true": ({"seeds": [True]}, r"the seed 'True' is not a whole number"),
    "a path above": ({"methods": {"../../x": NET}}, r"the method '../../x' cannot name a result file"),
    "a folder": ({"methods": {"a/b": NET}}, r"the method 'a/b' cannot name a result file"),
    "a task that is a path": ({"tasks": {"a\\b": TASK}}, r"cannot name a result file"),
    "hidden": ({"methods": {".x": NET}}, r"the method '.x' cannot name"),
    "an option": ({"methods": {"-x": NET}}, r"the method '-x' cannot name"),
    "empty": ({"methods": {"": NET}}, r"the method '' cannot name"),
    "a list of the command line": ({"methods": {"a,b": NET}}, r"the method 'a,b' cannot name"),
    "a pattern": ({"tasks": {"a*": TASK}}, r"the task 'a\*' cannot name"),
    "too long": ({"methods": {"x" * 160: NET}}, r"are too long for a file"),
    "joined alike": ({"methods": {"a": NET, "a-b": NET}, "tasks": {"b-c": TASK, "c": TASK}}, r"'a' on 'b-c' and 'a-b' on 'c' would share"),
    "alike but for case": ({"methods": {"dann": NET, "DANN": NET}}, r"'dann' on .* and 'DANN' on .* would share"),
    "alike but for an accent's form": ({"methods": {"\u00e9": NET, "e\u0301": NET}}, r"cannot name a result file|would share"),
    "a name that is true": ({"methods": {True: NET}}, r"YAML reads a name under 'methods' as True"),
    "a name twice": ({"methods": {1: NET, "1": NET}}, r"'1' occurs twice under 'methods'"),
    "two methods with a label": ({"methods": {"a": NET, "b": NET}, "labels": {"a": "x", "b": "x"}}, r"two methods have the label 'x'"),
    "a label that is a name": ({"methods": {"a": NET, "b": NET}, "labels": {"a": "b"}}, r"two methods have the label 'b'"),
    "two tasks with a label": ({"tasks": {"p": TASK, "q": TASK}, "labels": {"p": "x", "q": "x "}}, r"two tasks have the label 'x'"),
    "a task called as the average": ({"tasks": {"a": TASK}, "labels": {"a": "average"}}, r"two tasks have the label 'average'"),
    "a label of nothing": ({"labels": {"x": "y"}}, r"a label on 'x', which is not one of its methods or tasks"),
    "a blank label": ({"methods": {"a": NET}, "labels": {"a": " "}}, r"the label or note of 'a' must be a text"),
    "a row of the search": (
        {"methods": {"a": NET, "a_tuned": NET}, "search": {"space": {"a": SPACE}}},
        r"the row of the search for 'a' is 'a_tuned', also the name of a method",
    ),
    "a search of text": ({"methods": {"a": NET}, "search": {"space": {"a": 3}}}, r"the space of 'a' is 3"),
    "an option without a part": (
        {"methods": {"a": NET}, "search": {"space": {"a": {"model": {"low": 0, "high": 1}}}}},
        r"the option 'model'",
    ),
    "low above high": (
        {"methods": {"a": NET}, "search": {"space": {"a": {"model.x": {"low": 2, "high": 1}}}}},
        r"the space of 'model.x' is .* low is below high",
    ),
    "log of 0": ({"methods": {"a": NET}, "search": {"space": {"a": {"model.x": {"low": 0, "high": 1, "log": True}}}}}, r"above 0 with log"),
    "low is a text": ({"methods": {"a": NET}, "search": {"space": {"a": {"model.x": {"low": "x", "high": 1}}}}}, r"the space of 'model.x'"),
    "no choices": ({"methods": {"a": NET}, "search": {"space": {"a": {"model.x": {"choices": []}}}}}, r"the space of 'model.x'"),
    "seeds of a search": ({"methods": {"a": NET}, "search": {"space": {"a": SPACE}, "seeds": [1, 1]}}, r"the seed 1 occurs twice"),
    "an entry of a search": (
        {"methods": {"a": NET}, "search": {"space": {"a": SPACE}, "sede": [1]}},
        r"unknown entry 'sede'; did you mean 'seeds'",
    ),
    "a metric of no task": ({"tasks": {"a": TASK}, "metric": {"a": "test/target/f1", "b": "test/target/f1"}}, r"a metric of 'b'"),
    "after a list": ({"methods": {"a": NET, "b": NET}, "after": {"b": ["a"]}}, r"'b' cannot come after"),
    "an overlay that names itself": ({"base": "table.yaml.list"}, r"an overlay names itself"),
    "an overlay of a number": ({"base": 3}, r"table.yaml"),
}


def declared(folder: Path, **changes: Any) -> Path:
    path = folder / "table.yaml"
    whole = {**copy.deepcopy(TABLE), "labels": {}, "baseline": next(iter(changes.get("methods", TABLE["methods"]))), **changes}
    whole["baseline"] = str(whole["baseline"])
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    (folder / "table.yaml.list").write_text("[table.yaml.list]")
    return path


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(case: str, tmp_path: Path) -> None:
    changes, sentence = REFUSED[case]
    with pytest.raises(UserError, match=sentence) as error:
        load_table(declared(tmp_path, **changes))
    assert "\n" not in str(error.value)


def test_names_of_letters_of_any_script_are_taken(tmp_path: Path) -> None:
    methods = {"DANN-2.5": NET, "Größe_1+": NET, "7": NET}
    assert list(load_table(declared(tmp_path, methods=methods)).methods) == list(methods)


PUBLISHED = {"method": "a", "task": "t", "value": 90.1, "source": "paper"}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"numbers": {}},
        {"numbers": [{"method": "a"}]},
        {"numbers": [PUBLISHED | {"value": None}]},
        {"numbers": [], "other": 1},
        {"numbers": [3]},
    ],
)
def test_published_numbers_that_are_none_are_refused(content: Any, tmp_path: Path) -> None:
    (tmp_path / "published.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"published.yaml(: the published number .* is incomplete| holds no published numbers)"):
        load_table(declared(tmp_path, published="published.yaml"))


def test_printed_names_of_methods_without_a_row_are_texts(tmp_path: Path) -> None:
    (tmp_path / "published.yaml").write_text(yaml.safe_dump({"numbers": [], "others": {"sigma": 3}}))
    with pytest.raises(UserError, match=r"published.yaml: 'others' is {'sigma': 3}: it gives each method"):
        load_table(declared(tmp_path, published="published.yaml"))
