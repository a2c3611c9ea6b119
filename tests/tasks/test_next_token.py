"""The next token: loss, continuations, and that no logits are kept."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.tiny_causal import SIZE, tiny_causal
from tlda.backbones.text import load_tokenizer
from tlda.batch import PAD, Output
from tlda.errors import UserError
from tlda.tasks import NextToken
from tlda.tasks.measures import Measures
from tlda.tasks.next_token import answers_of

TASK = NextToken(SIZE, tiny_causal(), continuation=4)


def ids(text: str) -> list[int]:
    found: list[int] = load_tokenizer(tiny_causal()).encode(text).ids
    return found


def counting(x: Tensor) -> Output:
    """The letter after the last one of each text, as a network that has learnt the alphabet says it."""
    last = x[torch.arange(len(x)), (x != PAD).sum(1) - 1]
    return Output(torch.zeros(len(x), 2), nn.functional.one_hot(last + 1, SIZE).float())


def test_texts_are_continued_by_the_likeliest_token_each_for_its_own_length() -> None:
    x = torch.tensor([ids("xyabc"), [*ids("fg"), PAD, PAD, PAD]])
    assert answers_of(TASK, counting, counting(x), x) == {"text": ["xyabc", "fg"], "continuation": ["defg", "hijk"]}  # type: ignore[arg-type]


def test_a_continuation_ends_with_the_document() -> None:
    x = torch.tensor([ids("ab")])
    task = NextToken(SIZE, tiny_causal(), continuation=4, end=ids("e")[0])
    assert answers_of(task, counting, counting(x), x)["continuation"] == ["cd"]  # type: ignore[arg-type]


def test_the_loss_is_of_the_tokens_that_have_a_next_one() -> None:
    logits = torch.randn(4, SIZE, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([3, -1, 0, 256])
    log = logits.detach().float().log_softmax(1)
    wanted = -(log[0, 3] + log[2, 0] + log[3, 256]) / 3
    torch.testing.assert_close(TASK.loss(logits, y), wanted)
    TASK.loss(logits, y).backward()
    assert logits.grad is not None
    assert not logits.grad[1].any()
    assert float(TASK.loss(logits.detach(), torch.full((4,), -1))) == 0.0


def test_nothing_of_the_size_of_the_logits_is_kept() -> None:
    assert all(state.numel() == 1 for part in Measures(TASK).parts for state in part.state_dict().values())
    assert Measures(TASK).first.confusion is None
    assert Measures(TASK).validated() == {}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"continuation is 0: it is a number of tokens, 1 or more$"):
        NextToken(SIZE, continuation=0)
    with pytest.raises(UserError, match="ask for it by `tlda predict`"):
        TASK.answers(Output(torch.zeros(1, 2), torch.zeros(1, SIZE)), torch.zeros(1, 2))
