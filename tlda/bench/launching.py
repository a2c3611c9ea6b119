"""The terms that launchers and those who use them share: options, outcomes, and the protocol of a launcher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from tlda.bench.cell import Failed
from tlda.bench.table import Cell

ATTEMPTS = 2
"""How often a cell is tried whose worker dies, for example because memory runs out."""

Outcome = dict[str, Any] | Failed | None
"""The result of a cell, its failure, or None where another `tlda bench` runs the cell or a twin of it."""


class Options(NamedTuple):
    """How cells run: how many at a time, the seconds that each may take, the W&B group, and what each asks of a cluster.

    ``slurm`` has submitit's parameters by name, such as ``partition``.
    """

    workers: int | None = None
    timeout: float | None = None
    wandb_group: str | None = None
    num_cpus: int = 1
    num_gpus: float = 0
    slurm: Mapping[str, object] = MappingProxyType({})


class Launcher(Protocol):
    """Runs cells. At most ``slots`` run at a time; :meth:`run` is called from as many threads."""

    slots: int

    def run(self, folder: Path, cell: Cell) -> Outcome:
        """Run ``cell``, wait for it, and return its outcome."""

    def close(self) -> None:
        """End what still runs."""


def overdue(options: Options) -> Failed:
    """The failure of a cell that took too long."""
    return Failed(f"it took longer than {options.timeout:g} s and was ended: raise --cell-timeout", "")
