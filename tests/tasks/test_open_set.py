"""The classification whose target may have unknown rows."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from tlda.batch import Output
from tlda.errors import UserError
from tlda.tasks import Classification, OpenSet, Place

TASK = OpenSet(["cat", "dog", "unknown"])


def test_the_head_has_no_unknown_class_and_the_loss_never_learns_one() -> None:
    assert list(TASK.outputs) == ["cat", "dog"]
    assert TASK.head(4)(torch.zeros(1, 4)).shape == (1, 2)
    logits = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(TASK.loss(logits, torch.tensor([0, 2, 1])), cross_entropy(logits[[0, 2]], torch.tensor([0, 1])))
    assert TASK.risk(logits, torch.tensor([0, 2, 1]))[1] == 0
    assert TASK.known(torch.tensor([0, 2, -1])).tolist() == [True, True, False], "an unknown row is measured"


def test_answers_name_the_unknown_and_give_a_score() -> None:
    logits = torch.tensor([[4.0, 0.0], [0.1, 0.0]])
    for given in (logits, torch.cat((logits, torch.tensor([[1.0], [3.0]])), 1)):  # by entropy, and by a class of its own
        found = TASK.answers(Output(torch.zeros(2, 1), given), logits)
        assert list(found) == ["class", "confidence", *(f"p_{name}" for name in TASK.classes), "unknown_score"]
        assert found["class"] == ["cat", "unknown"]
        first, second = found["unknown_score"]
        assert isinstance(first, float)
        assert isinstance(second, float)
        assert first < 0 < second


def test_a_closed_set_has_no_use_for_an_unknown_logit() -> None:
    logits = torch.tensor([[1.0, 0.0, 9.0]])
    assert Classification(["cat", "dog"]).scored(logits).tolist() == [[1.0, 0.0]]
    assert list(TASK.metrics(Place("a", "source"))) == ["accuracy"]
    assert list(TASK.metrics(Place("b", "target"))) == ["h_score", "os_star", "unk", "os", "unknown_auroc", "accuracy"]


def test_wrong_options_are_one_sentence() -> None:
    with pytest.raises(UserError, match="did you mean 'entropy'"):
        OpenSet(["cat", "dog", "unknown"], rejection="entropie")
    with pytest.raises(UserError, match="only the class"):
        OpenSet(["cat", "unknown"])
    with pytest.raises(UserError, match="no scores"):
        OpenSet(["cat", "dog", "unknown"], ["auc"])
