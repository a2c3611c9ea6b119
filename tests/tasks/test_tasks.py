"""Losses, metrics and answers of the tasks, against closed forms and scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import average_precision_score, mean_absolute_error, r2_score, root_mean_squared_error
from torch import Tensor

from tests.helpers.toy import Tiny, Toy, trainer
from tlda.batch import Output, Sample
from tlda.errors import UserError
from tlda.losses import MCC, CoTuning
from tlda.methods import DANN, MCD, SHOT, DeepCORAL, SourceOnly
from tlda.tasks import Caption, Classification, MultiLabel, Regression, Several, Spans, Task, Verification, Words
from tlda.tasks.measures import Part, counted
from tlda.tasks.place import SOURCE_AND_TARGET
from tlda.training.checkpoint import task_from

TASKS: dict[str, Task] = {
    "classification": Classification(["a", "b", "c"], ["macro_f1", "auc", "risk"]),
    "words": Words(["O", "B-x", "I-x"], ["f1"]),
    "spans": Spans(),
    "regression": Regression(["age", "rate"], ["years", "1/min"], [40.0, 100.0], [10.0, 20.0]),
    "verification": Verification(["ann", "bob"], 5),
    "caption": Caption(["red", "apple"], 3, decoder="transformer", beams=2),
    "several labels": MultiLabel(["red", "round"]),
    "several": Several({"": {"kind": Classification(["a", "b"]), "size": Regression(["size"])}}),
}


def sample(y: Tensor) -> Sample:
    return Sample(torch.zeros(len(y), 1), y, torch.arange(len(y)))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_a_task_is_made_again_from_what_a_checkpoint_keeps(task: Task) -> None:
    again = task_from(task.description())
    assert again.description() == task.description()
    task.refuse(again)


def test_another_task_is_refused() -> None:
    task = TASKS["classification"]
    for other, words in (
        (TASKS["regression"], "was trained for Regression"),
        (Classification(["a", "b"]), "2 classes, the data 3"),
        (Classification(["a", "c", "b"]), "class 1 is 'c' in the checkpoint and 'b' in the data"),
    ):
        with pytest.raises(UserError, match=words):
            task.refuse(other)


def test_classification_leaves_unknown_rows_out() -> None:
    logits, y = torch.randn(5, 3, requires_grad=True), torch.tensor([0, -1, 2, 1, -1])
    loss = TASKS["classification"].loss(logits, y)
    known = y >= 0
    torch.testing.assert_close(loss, -logits.log_softmax(1)[known, y[known]].mean())
    torch.testing.assert_close(TASKS["classification"].risk(logits, y)[known].mean(), loss)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[~known].any()
    assert TASKS["classification"].loss(logits, torch.full((5,), -1)) == 0


def test_risks_are_of_all_rows_or_of_the_first_of_each_class() -> None:
    metrics = Classification(["a", "b", "c"], ["risk", "few_shot_risk"]).metrics(SOURCE_AND_TARGET[1])
    logits, y = torch.randn(20, 3), torch.tensor([0] * 12 + [1] * 6 + [2] * 2)
    losses = -logits.log_softmax(1)[torch.arange(20), y]
    few = torch.cat((losses[:5], losses[12:17], losses[18:]))  # of the third class there are two
    order = torch.randperm(20)  # as several processes see them
    for rows in order.split(7):
        for metric in metrics.values():
            metric.update(logits[rows], Sample(rows, y[rows], rows))
    torch.testing.assert_close(metrics["risk"].compute(), losses.mean())
    torch.testing.assert_close(metrics["few_shot_risk"].compute(), few.mean())


def test_regression_works_in_units_of_the_labels() -> None:
    task = TASKS["regression"]
    logits = torch.randn(6, 2, requires_grad=True)
    y = torch.tensor([[30.0, 90.0], [50.0, math.nan], [math.nan, 120.0], [44.0, 80.0], [math.nan, math.nan], [41.0, 99.0]])
    known = ~y.isnan()
    scaled = (y - torch.tensor([40.0, 100.0])) / torch.tensor([10.0, 20.0])
    loss = task.loss(logits, y)
    torch.testing.assert_close(loss, (logits - scaled)[known].square().mean())
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, torch.where(known, 2 * (logits - scaled) / known.sum(), 0.0).detach())
    assert task.known(y).tolist() == [True, True, True, True, False, True]
    assert task.loss(logits, torch.full((6, 2), math.nan)) == 0
    output, rows = counted(task, Output(torch.zeros(6, 1), logits.detach()), sample(y))
    metrics = task.metrics(SOURCE_AND_TARGET[1])
    for part in (slice(0, 2), slice(2, 5)):
        for metric in metrics.values():
            metric.update(output.logits[part], Sample(*(column[part] for column in rows[:3])))
    values = (logits.detach() * torch.tensor([10.0, 20.0]) + torch.tensor([40.0, 100.0]))[known].numpy()
    wanted = y[known].numpy()
    assert metrics["rmse"].compute().item() == pytest.approx(root_mean_squared_error(wanted, values), rel=1e-5)
    assert metrics["mae"].compute().item() == pytest.approx(mean_absolute_error(wanted, values), rel=1e-5)
    assert metrics["r2"].compute().item() == pytest.approx(r2_score(wanted, values), rel=1e-4)
    assert {"rmse_age", "rmse_rate"} <= metrics.keys()
    assert task.answers(Output(logits, logits), None)["age"] == pytest.approx((logits[:, 0] * 10 + 40).tolist(), rel=1e-5)


def test_several_labels_leave_unknown_ones_out() -> None:
    task = TASKS["several labels"]
    logits, y = torch.randn(40, 2, requires_grad=True), torch.randint(2, (40, 2))
    y[3, 1] = y[5, 0] = -1
    known = y >= 0
    p = logits.sigmoid()
    closed = -(y * p.log() + (1 - y) * (1 - p).log())[known].mean()
    torch.testing.assert_close(task.loss(logits, y), closed)
    metric = task.metrics(SOURCE_AND_TARGET[0])["mean_average_precision"]
    metric.update(logits.detach(), sample(y))
    wanted = [average_precision_score(y[known[:, c], c], p[known[:, c], c].detach()) for c in range(2)]
    assert metric.compute().item() == pytest.approx(sum(wanted) / 2, abs=1e-5)


class Numbers(Toy):
    """The toy with numbers: of each row how bright its spot is, by the number of its class."""

    @property
    def task(self) -> Task:
        return Regression(["number"], centres=[1.0])

    def load(self):  # type: ignore[no-untyped-def]
        from dataclasses import replace

        return tuple(domain.map(lambda rows: replace(rows, labels=rows.labels.float())) for domain in super().load())


@pytest.mark.slow
@pytest.mark.parametrize("cls", [SourceOnly, DANN, DeepCORAL])
def test_methods_that_read_no_classes_learn_numbers(cls: type[SourceOnly]) -> None:
    torch.manual_seed(0)
    method, data, run = cls(backbone=Tiny(), task=Numbers().task), Numbers(shift=0.0, steps=12), trainer(6)
    before = run.test(method, data, verbose=False)[1]["test/target/rmse"]
    run.fit(method, data)
    after = run.test(method, data, verbose=False)[1]
    assert after["test/target/rmse"] < 0.8 * before
    assert set(after) == {"test/target/rmse", "test/target/mae", "test/target/r2"}
    (columns, *_) = run.predict(method, data)  # type: ignore[misc]
    assert len(columns.answers["number"]) == len(columns.row)  # type: ignore[union-attr]


def test_what_reads_classes_is_refused_in_one_sentence() -> None:
    task = Regression(["number"])
    for cls in (MCD, SHOT):
        with pytest.raises(UserError, match=f"{cls.__name__} looks at the classes of a row, and Regression has none"):
            cls(backbone=Tiny(), task=task)
    for loss in (MCC(), CoTuning()):
        with pytest.raises(UserError, match=r"looks at the classes of a row, and Regression has none: leave the loss .* out"):
            SourceOnly(backbone=Tiny(), task=task, plus=[loss])


def test_bad_options_have_a_sentence() -> None:
    for make, words in (
        (lambda: Classification(["a"]), "only one class"),
        (lambda: Classification(["a", "b"], ["accurac"]), "there is no score 'accurac'"),
        (lambda: Regression([]), "the name of at least one number"),
        (lambda: Regression(["a"], scales=[0.0]), "each must be above 0"),
        (lambda: Regression(["a"], units=["x", "y"]), "has 2 units"),
        (lambda: MultiLabel([]), "the name of at least one"),
    ):
        with pytest.raises(UserError, match=words):
            make()


def test_a_task_without_classes_has_no_validators_and_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    measures = Part("", Regression(["y"]), SOURCE_AND_TARGET, [True, True])
    assert measures.validated() == {}
    assert not recwarn.list
