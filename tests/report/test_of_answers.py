"""The page of a run whose answers are no classes: what is measured before and after, what is forgotten, and what is written."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import Tlda
from tests.helpers.tiny_causal import tiny_causal, write_corpora


def fitted(tlda: Tlda, tmp_path: Path, method: str, *options: str) -> str:
    """The folder of a run of a tiny language model."""
    source, target = write_corpora(tmp_path)
    data = ["--data=Corpus", f"--data.source={source}", f"--data.target={target}", f"--data.tokenizer={tiny_causal()}"]
    data += ["--data.max_length=32", "--data.batch_size=4", "--data.steps=20", "--data.holdout=0.5"]
    net = [f"--model={method}", "--model.backbone=LanguageModel", f"--model.backbone.name={tiny_causal()}"]
    done = tlda("fit", *net, *data, *options, "--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--trainer.enable_progress_bar=false")
    assert done.code == 0, done.err
    return str(max(Path("runs").glob(f"*/{method}/*")))


def test_what_is_learnt_and_what_is_forgotten_stand_beside_each_other(tlda: Tlda, tmp_path: Path) -> None:
    before = fitted(tlda, tmp_path, "ZeroShot")
    after = fitted(tlda, tmp_path, "FineTune", "--model.pretrain=0", "--model.optimizer=Adam", "--model.optimizer.lr=0.03")
    page = tmp_path / "page.html"
    assert tlda("report", after, "--before", before, "--out", page).code == 0
    text = page.read_text()
    was, now = map(float, re.findall(r"perplexity \(lower is better\) goes from ([\d.e+]+) to ([\d.e+]+), by its labels", text)[0])
    assert now < 0.5 * was
    assert all(part in text for part in ("<b>yes</b>", "continuation", "target/bits_per_byte"))
    assert tlda("report", after, "--out", page).code == 0
    assert "<b>cannot tell</b>" in page.read_text()
