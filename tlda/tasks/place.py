"""Places: the sets of rows that a run measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from tlda.batch import Rows


class Place(NamedTuple):
    """One measured set of rows: its ``domain``, the ``role`` of that domain, its rows where they are known, and the data set it is of.

    ``part`` is empty unless the data are several data sets. ``apart`` are rows that no rule looks at: their metrics of validation, prefixed
    ``oracle/measured``, say what a test of that epoch would. ``pooled`` are the names of the domains that it was pooled from, each of which
    a test measures by itself too. The order of the places is that of the evaluation loaders.
    """

    domain: str
    role: Literal["source", "target"]
    rows: Rows | None = None
    part: str = ""
    apart: bool = False
    pooled: Sequence[str] = ()

    def prefix(self, stage: str) -> str:
        """Prefix of a metric's name by stage (``val`` or ``test``) and role.

        Target metrics of validation are prefixed ``oracle/``, because a run could be selected by them.
        """
        return "oracle/measured" if self.apart else f"{'oracle' if stage == 'val' and self.role == 'target' else stage}/{self.role}"


SOURCE_AND_TARGET = (Place("source", "source"), Place("target", "target"))
"""The places where a trainer was given loaders and no data that name them."""
