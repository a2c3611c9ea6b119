"""When the adaptive feature norm begins to count."""

import pytest
import torch

from tlda.batch import Output
from tlda.errors import UserError
from tlda.losses import AFN


@pytest.mark.parametrize(("progress", "counts"), [(0.0, 0.0), (0.49, 0.0), (0.5, 1.0), (1.0, 1.0)])
def test_the_term_is_nothing_before_its_start(progress: float, counts: float) -> None:
    outputs = [Output(torch.full((2, 4), value), torch.zeros(2, 3)) for value in (1.0, 2.0)]  # of norms 2 and 4
    late, always = (AFN(1.0, "hard", radius=5.0, start=start).term(None, *outputs, progress) for start in (0.5, None))  # type: ignore[arg-type, call-arg]
    assert (late.item(), always.item()) == (pytest.approx(counts * (9 + 1)), pytest.approx(10))  # type: ignore[comparison-overlap]


def test_a_start_that_never_comes_is_refused() -> None:
    with pytest.raises(UserError, match="a fraction of the run"):
        AFN(start=1.0)
