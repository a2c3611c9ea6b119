"""ArcFace's and CosFace's logits against angles computed by themselves, values and gradients."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from torch import Tensor

from tlda.errors import UserError
from tlda.network import Head
from tlda.nn.cosine_head import CosineHead
from tlda.nn.margins import arcface_logits, cosface_logits
from tlda.tasks import Classification, Verification


def turned(cosine: complex, margin: float) -> float:
    """The cosine of an angle that is ``margin`` more, by a rotation of the complex plane."""
    angle = math.acos(cosine.real)
    return (cmath.exp(1j * angle) * cmath.exp(1j * margin)).real if angle + margin <= math.pi else cosine.real - margin * math.sin(margin)


def some() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    cosines = 1.9 * torch.rand(6, 4, dtype=torch.float64, generator=generator) - 0.95
    y = torch.tensor([0, 3, 1, -1, 2, 9])
    cosines[1, 3], cosines[2, 1] = -0.93, -0.2  # beyond pi - m, and before it
    return cosines, y


def test_arcface_turns_the_angle_of_the_own_class_alone() -> None:
    cosines, y = some()
    expected = cosines.clone()
    for row, own in enumerate(y.tolist()):
        if 0 <= own < 4:
            expected[row, own] = turned(complex(cosines[row, own].item()), 0.5)
    torch.testing.assert_close(arcface_logits(cosines, y, 0.5, 64.0), 64 * expected, rtol=1e-9, atol=1e-9)


def test_cosface_takes_the_margin_from_the_own_class_alone() -> None:
    cosines, y = some()
    expected = 30 * cosines
    for row, own in enumerate(y.tolist()):
        expected[row, own if 0 <= own < 4 else 0] -= 30 * 0.35 * (0 <= own < 4)
    torch.testing.assert_close(cosface_logits(cosines, y, 0.35, 30.0), expected)


def test_the_slope_of_arcface_is_that_of_a_turned_angle() -> None:
    cosine = torch.tensor([[0.3, 0.8]], dtype=torch.float64, requires_grad=True)
    arcface_logits(cosine, torch.tensor([0]), 0.5, 64.0)[0, 0].backward()
    assert cosine.grad is not None
    angle = math.acos(0.3)
    assert cosine.grad[0].tolist() == pytest.approx([64 * math.sin(angle + 0.5) / math.sin(angle), 0.0])


@pytest.mark.parametrize("logits", [arcface_logits, cosface_logits])
def test_gradients_are_those_of_differences_and_finite_at_the_ends(logits: object) -> None:
    cosines, y = some()
    assert callable(logits)
    assert torch.autograd.gradcheck(lambda c: logits(c, y), (cosines.requires_grad_(),))
    ends = torch.tensor([[1.0, -1.0], [1.0, -1.0]], requires_grad=True)
    logits(ends, torch.tensor([0, 1])).sum().backward()
    assert ends.grad is not None
    assert ends.grad.isfinite().all()


def test_a_head_has_its_margin_in_training_and_is_cosines_by_itself() -> None:
    head = Head(temperature=0.1, arcface=0.3).build(5, Verification(["a", "b", "c"]))
    assert isinstance(head, CosineHead)
    features, y = torch.randn(4, 5, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 0])
    cosines = torch.nn.functional.cosine_similarity(features[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(features), cosines / 0.1)
    torch.testing.assert_close(head.with_labels(head(features), y), arcface_logits(cosines, y, 0.3, 10.0))
    plain = Head(temperature=0.1).build(5, Verification(["a", "b"]))
    assert isinstance(plain, CosineHead)
    assert plain.with_labels(features, y) is features


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"temperature": 0.1, "arcface": -0.1}, "arcface is -0.1: it is a margin above 0, and below 3.142"),
        ({"temperature": 0.1, "cosface": 2.5}, "cosface is 2.5"),
        ({"arcface": 0.5}, "arcface is a margin of cosines: give --model.head.temperature too"),
        ({"temperature": 0.1, "arcface": 0.5, "cosface": 0.3}, "two margins of one head"),
    ],
)
def test_margins_that_mean_nothing_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Head(**options)  # type: ignore[arg-type]


def test_a_margin_is_for_verification() -> None:
    with pytest.raises(UserError, match="cosface is a margin of Verification, and the data ask for Classification: leave it out"):
        Head(temperature=0.1, cosface=0.3).build(5, Classification(["a", "b"]))
