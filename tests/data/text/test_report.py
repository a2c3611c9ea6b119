"""What a report shows of texts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Tlda
from tests.data.text.test_questions import squad, write
from tests.data.text.test_tagging import NOUNS, VERBS, write_conllu
from tlda.backbones import Text
from tlda.finetuning import LoRA
from tlda.methods import SourceOnly
from tlda.report.texts import saliency

pytestmark = pytest.mark.slow

SHORT = ["--trainer.max_epochs=1", "--data.steps=4", "--data.batch_size=4", "--trainer.enable_progress_bar=false", "--trainer.precision=32"]
TAGS = {"the": "DET", "very": "ADV", ".": "PUNCT"} | dict.fromkeys(NOUNS, "NOUN") | dict.fromkeys(VERBS, "VERB")


def fitted(tlda: Tlda, model: str, method: str, data: list[str]) -> str:
    given = ["--model", method, "--model.backbone=Text", f"--model.backbone.name={model}", *data, f"--data.tokenizer={model}", *SHORT]
    done = tlda("fit", *given)
    assert done.code == 0, done.err
    return str(max(Path("runs").glob(f"*/{method}/*")))


def cards(page: str) -> list[str]:
    text = page.split('<div class="texts">')[1].split("<figcaption>")[0]
    return text.split("<div>")[1:]


def test_a_run_on_words_shows_the_word_that_was_asked(tlda: Tlda, model: str, tmp_path: Path) -> None:
    data = [
        "--data=Tagging",
        f"--data.root={write_conllu(tmp_path)}",
        "--data.source=reviews",
        "--data.target=email",
        "--data.max_length=32",
    ]
    before, after = (fitted(tlda, model, method, data) for method in ("SourceOnly", "DANN"))
    done = tlda("report", after, "--before", before)
    assert done.code == 0, done.err
    shown = cards(Path("report.html").read_text())
    assert len(shown) == 8
    for card in shown:
        first, second = re.findall(r"<b>(.*?)</b>", card)
        assert first == second
        assert f"labelled {TAGS[first]} (oracle)" in card


def test_a_run_on_texts_shows_which_tokens_weigh(tlda: Tlda, model: str, root: Path) -> None:
    run = fitted(tlda, model, "SourceOnly", ["--data=Reviews", "--data.source=books", "--data.target=dvd", "--model.tuning=LoRA"])
    assert tlda("report", run).code == 0
    for card in cards(Path("report.html").read_text()):
        text = re.sub(r"<.*?>", "", card.split("<p>predicted")[0])
        assert re.fullmatch(r" \[CLS\] very (good|bad) (the )*film \[SEP\]", text)
        assert max(map(int, re.findall(r"var\(--c\) (\d+)%", card))) == 60


def test_a_run_that_answers_questions_shows_its_measures(tlda: Tlda, model: str, tmp_path: Path) -> None:
    file = write(tmp_path / "en.json", squad())
    data = ["--data=Questions", f"--data.source={file}", f"--data.target={file}", "--data.max_length=32"]
    run = fitted(tlda, model, "SourceOnly", data)
    assert tlda("report", run).code == 0
    assert "target/f1" in Path("report.html").read_text()


@pytest.mark.parametrize("tuning", [None, LoRA(rank=2)])
def test_saliency_is_the_slope_of_the_logit(model: Any, tuning: Any) -> None:
    method = SourceOnly(backbone=Text(model), task=3, tuning=tuning).eval()
    x = torch.tensor([[2, 9, 30, 31, 3]])
    found = saliency(method.backbone, method, x, 0, 1)  # type: ignore[arg-type]
    embeddings = method.backbone.model.get_input_embeddings()  # type: ignore[operator, union-attr]
    slopes = []
    with torch.no_grad():
        for place in range(5):
            gradient = []
            for column in range(16):
                ends = []
                for move in (1e-2, -1e-2):

                    def moved(_module: Any, _inputs: Any, out: Any, place: Any = place, column: Any = column, move: Any = move) -> Any:
                        out = out.clone()
                        out[0, place, column] += move
                        return out

                    hook = embeddings.register_forward_hook(moved)
                    ends.append(method(x).logits[0, 1])
                    hook.remove()
                gradient.append((ends[0] - ends[1]) / 2e-2)
            slopes.append(torch.stack(gradient).norm())
    slopes = torch.stack(slopes)  # type: ignore[assignment]
    torch.testing.assert_close(found, slopes / slopes.max(), atol=2e-3, rtol=2e-3)  # type: ignore[attr-defined]
