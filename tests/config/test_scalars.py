"""Names in YAML and on the command line are the text that they are written as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import EXPERIMENTS, QUICK, Tlda
from tlda.config.build import data_of
from tlda.config.scalars import load


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            (name, name)
            for name in (
                "no",
                "yes",
                "on",
                "off",
                "On",
                "y",
                "007",
                "0016E5",
                "008",
                "0x1F",
                "1:30",
                "2019-01-01",
                "1e",
                "0o7",
                "+",
                "2019_20",
                "1_000",
            )
        ),
        *(("true", True), ("False", False), ("null", None), ("~", None), ("", None)),
        *(
            ("2019", 2019),
            ("0", 0),
            ("-3", -3),
            ("1.5", 1.5),
            ("1e-3", 0.001),
            ("3.0e2", 300.0),
            (".5", 0.5),
            ("-.inf", -np.inf),
        ),
    ],
)
def test_only_plain_numbers_true_false_and_null_are_no_text(text: str, value: Any) -> None:
    found = load(text)
    assert (found, type(found)) == (value, type(value))
    assert load(f"[{text or '~'}]") == [value]


READERS = {
    "Folders": "root: images, source: {}, target: {}",
    "PACS": "root: images, source: photo, target: sketch, classes: [{}, {}]",
    "Reviews": "source: {}, target: {}",
    "Tagging": "source: {}, target: {}, types: [{}, {}]",
    "Questions": "source: {}, target: {}",
    "Records": "source: {}, target: {}, text: {}, label: {}, file: f, domain: {}, source_test: {}, target_test: {}",
    "Tabular": "source: {}, target: {}, label: {}, columns: [{}, {}], drop: [{}], categories: [{}], file: f, domain: {}",
}


@pytest.mark.parametrize("name", ["2019", "on", "007", "0016E5", "2019_20", "2020-01-01"])
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_names_as_they_are_written(reader: str, name: str) -> None:
    options, other = READERS[reader], "1984"
    names = [name if i % 2 == 0 else other for i in range(options.count("{}"))]
    found: Any = data_of({"class_path": reader, "init_args": load(f"{{{options.format(*names)}}}")}, Path("x"), {})
    if reader == "PACS":
        assert found.classes == [name, other]
        return
    assert (found.source, found.target) == (name, other)
    if reader == "Tagging":
        assert found.types == [name, other]
    if reader == "Records":
        assert (found.text, found.label, found.domain, found.tests) == (name, other, name, (other, name))
    if reader == "Tabular":
        assert (found.label, found.how.columns, found.how.drop, found.how.categories, found.domain) == (
            name,
            [other, name],
            [other],
            [name],
            other,
        )


@pytest.mark.slow
@pytest.mark.parametrize(("source", "target", "classes"), [("2019", "on", "[no,yes]"), ("2020-01-01", "null_", "[007,008]")])
@pytest.mark.parametrize("where", ["command", "file"])
def test_domains_and_classes_are_called_as_they_are_written(tlda: Tlda, source: str, target: str, classes: str, where: str) -> None:
    random = np.random.default_rng(0)
    for domain in (source, target):
        for name in classes.strip("[]").split(","):
            Path("images", domain, name).mkdir(parents=True)
            for i in range(4):
                Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(Path("images", domain, name, f"{i}.png"))
    Path("names.yaml").write_text(f"data: {{init_args: {{source: {source}, target: {target}, classes: {classes}}}}}\n")
    named = [f"--data.source={source}", f"--data.target={target}", f"--data.classes={classes}"]
    base = ["-c", EXPERIMENTS / "base" / "embedded.yaml", "-c", EXPERIMENTS / "method" / "source_only.yaml", "--model.backbone.channels=3"]
    data = ["--data=Folders", "--data.root=images", "--data.size=16"]
    done = tlda("fit", *base, *data, *(named if where == "command" else ["-c", "names.yaml"]), *QUICK)
    assert done.code == 0, done.err
    assert list(Path("runs").iterdir()) == [Path("runs", f"{source}_to_{target}")]
