"""A run that goes on where its tracker fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def going_on() -> Iterator[None]:
    """Say what W&B fails at within the block, and go on: a run does not end for its tracker."""
    try:
        yield
    except Exception as error:  # of many kinds, of which some are its own libraries'
        print(f"tlda: W&B does not take the run ({_first_line(error)}); what is in its folder is whole", file=sys.stderr)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
