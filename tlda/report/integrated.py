"""Integrated gradients of rows of numbers, by captum."""

from __future__ import annotations

from importlib.util import find_spec

from torch import Tensor

from tlda.errors import lacking
from tlda.method import Method

MISSING = "Integrated gradients stand here where captum is installed: pip install 'tlda[captum]'."
"""What the report says without it."""

STEPS = 32
"""The points between the mean of the source and a row at which a gradient is taken."""


def is_there() -> bool:
    """Whether captum is installed."""
    return find_spec("captum") is not None


def integrated(method: Method, x: Tensor, number: int) -> Tensor:
    """What each number of rows (n, d) adds to the logit of the class ``number``, (n, d) (Sundararajan et al., ICML 2017).

    The baseline is 0, the mean of the source where the numbers are standardised. The sum of a row is its logit less that of the baseline.

    Raises:
        UserError: captum is not installed.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise lacking("integrated gradients", "captum", "captum") from error

    def logit(rows: Tensor) -> Tensor:
        answers: Tensor = method(rows).logits[:, number]
        return answers

    found: Tensor = IntegratedGradients(logit).attribute(x.clone(), n_steps=STEPS, internal_batch_size=4096)
    return found.detach()
