"""The penalty of invariant risk minimisation against automatic differentiation of its definition."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tlda.errors import UserError
from tlda.losses import irm_penalty

LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 3.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 2, 1, 1])


def by_definition(logits: Tensor, labels: Tensor, variant: str) -> Tensor:
    """The gradients on a factor of the logits, by differentiation."""

    def gradient(rows: slice) -> Tensor:
        factor = torch.ones((), dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(cross_entropy(factor * logits[rows], labels[rows]), factor, create_graph=True)[0]

    return gradient(slice(0, None, 2)) * gradient(slice(1, None, 2)) if variant == "domainbed" else gradient(slice(None)) ** 2


def test_the_value_on_which_public_implementations_agree() -> None:
    assert irm_penalty(LOGITS, LABELS).item() == pytest.approx(-0.0470871406, abs=1e-10)


@pytest.mark.parametrize("variant", ["domainbed", "paper"])
@pytest.mark.parametrize("rows", [2, 4])
def test_value_and_gradient_are_those_of_the_definition(variant: str, rows: int) -> None:
    found, wanted = (LOGITS[:rows].clone().requires_grad_() for _ in range(2))
    ours, theirs = irm_penalty(found, LABELS[:rows], variant), by_definition(wanted, LABELS[:rows], variant)  # type: ignore[arg-type]
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(value, x)[0] for value, x in ((ours, found), (theirs, wanted))))


def test_rows_without_a_label_are_left_out() -> None:
    rows = torch.cat((LOGITS, torch.full((1, 3), 9.0)))
    torch.testing.assert_close(irm_penalty(rows, torch.cat((LABELS, torch.tensor([-1])))), irm_penalty(LOGITS, LABELS))


def test_too_few_rows_and_an_unknown_variant_are_a_sentence() -> None:
    with pytest.raises(UserError, match=r"irm_penalty needs at least 2 labelled rows of a domain, got 1; raise the batch size"):
        irm_penalty(LOGITS[:1], LABELS[:1])
    with pytest.raises(UserError, match=r"irm_penalty has no variant 'papers'.*paper"):
        irm_penalty(LOGITS, LABELS, "papers")  # type: ignore[arg-type]
