from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.helpers.toy import trainer
from tlda.backbones import Text
from tlda.batch import Output, Sample
from tlda.data import Questions
from tlda.errors import UserError
from tlda.inputs import NOWHERE
from tlda.methods import CDAN, DANN, SourceOnly
from tlda.metrics.answers import Answer, AnswerScore, best_span, exact_match, token_f1
from tlda.optim import Adam
from tlda.tasks import Spans
from tlda.tasks.measures import Measures

CONTEXTS = ["the book was very good .", "the film was fine .", "a lens was in paris .", "the blade was bad .", "bo ran the a b c ."]


def squad(articles: int = 10) -> dict[str, Any]:
    data = []
    for i in range(articles):
        context = CONTEXTS[i % 5]
        word = context.split()[1]
        answers = [{"text": word, "answer_start": context.index(word)}]
        data.append(
            {"title": str(i), "paragraphs": [{"context": context, "qas": [{"id": str(i), "question": "is the a ?", "answers": answers}]}]}
        )
    return {"data": data}


def write(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def questions(tmp_path: Path, model: str, **options: Any) -> Questions:
    files = {"source": write(tmp_path / "en.json", squad()), "target": write(tmp_path / "es.json", squad())}
    return Questions(**{**files, "tokenizer": model, "max_length": 32, "batch_size": 4, "seed": 0, **options})


def test_answers_are_tokens_of_the_text(tmp_path: Path, model: str) -> None:
    data = questions(tmp_path, model)
    source, _ = data.load()
    assert (len(source.train), len(source.test or [])) == (8, 2)
    sample = source.train[torch.tensor([0, 1])]
    assert sample.x.shape[2] == 3
    assert sample.y.shape == (4,)
    for row, (begin, end) in zip(sample.x, sample.y.view(2, 2).tolist(), strict=True):
        assert row[begin, 1] == row[end, 1] == row[begin, 2] == 1
    assert [q.context for q in data.questions[0]["test"]] == [q.context for q in data.questions[1]["test"]]


@pytest.mark.slow
def test_source_only_and_alignment_learn_to_answer_and_others_say_that_they_do_not(tmp_path: Path, model: str) -> None:
    for method in (SourceOnly, DANN):
        torch.manual_seed(0)
        data = questions(tmp_path, model, steps=25)
        made, run = method(backbone=Text(model), task=Spans(), optimizer=Adam(5e-3)), trainer(2)
        run.fit(made, data)
        found = {name: value for row in run.test(made, data, verbose=False) for name, value in row.items()}
        assert set(found) == {f"test/{d}/{m}" for d in ("source", "target") for m in ("f1", "exact_match")}
        assert found["test/target/f1"] > 0.9
    with pytest.raises(UserError, match="the loss 'domain' looks at the classes of a row, and Spans has none"):
        trainer(1).fit(CDAN(backbone=Text(model), task=Spans()), questions(tmp_path, model))


def test_no_answer_begins_in_the_question(tmp_path: Path, model: str) -> None:
    sample = questions(tmp_path, model).load()[0].train[torch.arange(3)]
    logits = SourceOnly(backbone=Text(model), task=Spans()).eval()(sample.x).logits
    assert logits.shape == (6, sample.x.shape[1])
    marked = (sample.x[..., 1] == 1).repeat_interleave(2, 0)
    assert (logits[~marked] == NOWHERE).all()
    assert (logits[marked] > NOWHERE).all()


# Scores, by SQuAD's definition written anew


def plain(text: str) -> list[str]:
    text = re.sub(r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]", "", text.lower())
    return [word for word in text.split() if word not in {"a", "an", "the"}]


def reference_f1(predicted: str, answer: str) -> float:
    found, wanted = plain(predicted), plain(answer)
    left, shared = list(wanted), 0
    for word in found:
        if word in left:
            left.remove(word)
            shared += 1
    if not shared:
        return 0.0
    precision, recall = shared / len(found), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


TEXTS = [
    "The Norman Conquest",
    "norman conquest!",
    "a the",
    "10th and 11th centuries",
    "11th  centuries",
    "U.S.",
    "us",
    "theatre an",
    "",
    "the the cat cat",
]


@pytest.mark.parametrize("answer", TEXTS)
def test_scores_are_squads(answer: str) -> None:
    for predicted in TEXTS:
        assert token_f1(predicted, answer) == pytest.approx(reference_f1(predicted, answer))
        assert exact_match(predicted, answer) == float(plain(predicted) == plain(answer))


def test_the_best_span_is_that_of_a_search() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        begin, end = torch.randn(2, 40, generator=generator)
        pairs = [(i, j) for i in range(40) for j in range(i, min(40, i + 30))]
        assert best_span(begin, end) == max(pairs, key=lambda pair: float(begin[pair[0]] + end[pair[1]]))


def test_the_best_of_several_answers_counts() -> None:
    offsets = torch.tensor([[0, 0], [0, 3], [4, 9]])
    metric = AnswerScore(exact_match, [Answer("the plain", offsets, ["spain", "plain"]), Answer("the plain", offsets, ["the plain x"])])
    logits = torch.tensor([[0.0, 0.0, 9.0], [0.0, 0.0, 9.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    metric.update(logits, Sample(torch.zeros(2, 3, 3), torch.zeros(4), torch.tensor([0, 1])))
    assert metric.compute() == 0.5


# Bad input


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda entry: entry["answers"][0].update(answer_start=9),
            "article 1, question '0', has the answer 'book', which is not at character 9",
        ),
        (lambda entry: entry["answers"][0].update(text=""), "article 1, question '0', has the answer '', which is not at character"),
        (lambda entry: entry["answers"][0].update(text="ok", answer_start=-2), "question '0', has the answer 'ok', which is not at"),
        (lambda entry: entry.update(question=" "), "article 1, question '0', has an empty text"),
        (lambda entry: entry.pop("answers"), "en.json is not in SQuAD's JSON .*KeyError"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, model: str, change: Any, sentence: str) -> None:
    data, content = questions(tmp_path, model), squad()
    change(content["data"][0]["paragraphs"][0]["qas"][0])
    write(tmp_path / "en.json", content)
    with pytest.raises(UserError, match=sentence):
        data.load()


def test_answers_that_are_cut_off_are_not_trained_on(tmp_path: Path, model: str) -> None:
    content = squad()
    long = "the a b c d e f g h i j k l m n o p q r s t book"
    content["data"][0]["paragraphs"][0] = {
        "context": long,
        "qas": [{"id": "x", "question": "is ?", "answers": [{"text": "book", "answer_start": long.index("book")}]}],
    }
    data = questions(tmp_path, model, max_length=16)
    write(tmp_path / "en.json", content)
    with pytest.warns(UserWarning, match="1 of [28] texts .* more than 16 tokens and are cut"):
        source = data.load()[0]
    assert len(source.train) + len(source.test or []) in (9, 10)
    assert (source.train[torch.arange(len(source.train))].y >= 0).all()


def test_no_answer_decides_which_unlabelled_questions_are_seen(tmp_path: Path, model: str) -> None:
    context = "bo ran the a b c d e f g h was awful ."
    seen, trained = [], []
    for word in ("bo", "awful"):  # the second is cut off
        content = squad()
        for article in content["data"][:5]:
            article["paragraphs"][0]["context"] = context
            article["paragraphs"][0]["qas"][0]["answers"] = [{"text": word, "answer_start": context.index(word)}]
        data = questions(tmp_path, model, max_length=16)
        write(tmp_path / "es.json", content)
        with pytest.warns(UserWarning, match="are cut"):
            target = data.load()[1]
        seen.append(target.without_labels[torch.arange(8)].x)
        trained.append(len(target.train))
    assert torch.equal(*seen)
    assert trained[0] == 8 > trained[1]  # what trains on answers leaves them out


@pytest.mark.parametrize("content", [squad(1), {"data": [*squad(1)["data"], {"paragraphs": []}]}])
def test_a_file_without_articles_to_train_and_to_measure_on_is_named(tmp_path: Path, model: str, content: Any) -> None:
    data = questions(tmp_path, model)
    write(tmp_path / "en.json", content)
    with pytest.raises(UserError, match=r"en.json' has too few articles to train on some and measure others: it needs two"):
        data.load()


@pytest.mark.slow
def test_a_question_that_leaves_no_room_for_its_text_is_named(tmp_path: Path, model: str) -> None:
    content = squad()
    for article in content["data"]:
        article["paragraphs"][0]["qas"][0]["question"] = "is the book good ? " * 2
    data = questions(tmp_path, model, max_length=15)
    write(tmp_path / "en.json", content)
    with pytest.warns(UserWarning, match="are cut"):
        assert len(data.load()[0].train)
    with pytest.raises(
        UserError, match=r"'is the book good .*' of '.*en.json' has 10 tokens, which leaves none of 13 to its text: raise --data"
    ):
        Questions(str(tmp_path / "en.json"), str(tmp_path / "es.json"), max_length=13, tokenizer=model).load()


def test_a_question_whose_answer_is_cut_off_counts_and_is_wrong(tmp_path: Path, model: str) -> None:
    data = questions(tmp_path, model)
    data.setup("fit")
    measures = Measures(data.task, data.places)
    sample = data.evaluation_rows[1][torch.tensor([0, 1])]
    logits = torch.full((4, sample.x.shape[1]), NOWHERE)
    logits[torch.arange(4), sample.y] = 1.0
    logits[2:] = NOWHERE
    logits[2:, 1] = 1.0
    cut = sample._replace(y=torch.tensor([*sample.y[:2].tolist(), -1, -1]))
    found = measures.test(SimpleNamespace(head=None), cut, Output(torch.zeros(4, 1), logits), 1)
    assert float(found["test/target/exact_match"].compute()) == 0.5
