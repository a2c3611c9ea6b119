"""What a command gives, before it is parsed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlda.config.given import last_of, name_alike, names_of, options

ARGS = {
    "--a=1 --b 2": [("a", "1"), ("b", "2")],
    "--a -1 --flag --b=x=y": [("a", "-1"), ("flag", None), ("b", "x=y")],
    "--model.plus+=MCC -c f": [("model.plus+", "MCC"), ("c", "f")],
}


@pytest.mark.parametrize("args", ARGS)
def test_options_and_their_values(args: str) -> None:
    assert list(options(args.split())) == ARGS[args]


def test_the_last_of_files_and_arguments_wins(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("ckpt_path: in_file\n")
    assert last_of("ckpt_path", ["fit", "--ckpt_path=a", "-c", str(file)]) == "in_file"
    assert last_of("ckpt_path", ["fit", "-c", str(file), "--ckpt_path", "a", "--ckpt_path=b"]) == "b"
    assert last_of("ckpt_path", ["fit"]) is None


def test_names_of_a_configuration() -> None:
    config = {"model": {"class_path": "DANN", "init_args": {"backbone": {"class_path": "LeNet", "init_args": {"size": 16}}}}}
    assert {"model", "model.backbone", "model.backbone.size"} == set(names_of(config))
    assert name_alike("model.backbone.size", ["model.backbone"])
    assert not name_alike("model.backbone", ["model.back"])
