"""The options of source only."""

import pytest
import torch
from torch.nn.functional import log_softmax, one_hot

from tests.helpers.toy import Tiny
from tlda.errors import UserError
from tlda.methods import ATDOC, SourceOnly


def made(label_smoothing: float | None) -> SourceOnly:
    return SourceOnly(label_smoothing=label_smoothing, backbone=Tiny(), task=3)


@pytest.mark.parametrize("smoothing", [None, 0.0, 0.1, 0.5])
def test_smoothed_labels_are_shared_with_all_classes(smoothing: float | None) -> None:
    logits, labels = torch.randn(6, 3, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 2, 2, 1, 0])
    share = smoothing or 0.0
    wanted = (1 - share) * one_hot(labels, 3) + share / 3
    closed = -(wanted * log_softmax(logits, 1)).sum(1).mean()
    loss = made(smoothing).task_loss(logits, labels)
    torch.testing.assert_close(loss, closed)
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], (logits.softmax(1) - wanted) / 6)


def test_atdoc_smooths_the_source_s_labels_as_source_only_does() -> None:
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    other = ATDOC(label_smoothing=0.1, backbone=Tiny(), task=3)
    assert torch.equal(other.task_loss(logits, labels), made(0.1).task_loss(logits, labels))


def test_no_more_than_the_whole_label_is_shared() -> None:
    for smoothing in (1.0, -0.1):
        with pytest.raises(UserError, match="label_smoothing"):
            made(smoothing)
