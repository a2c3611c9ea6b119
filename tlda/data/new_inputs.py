"""Inputs alone, which a checkpoint predicts: no label, no source, and nothing else of the data that it was trained on."""

from __future__ import annotations

from functools import cached_property

from tlda.data.pair import DomainPair
from tlda.data.rows import Domain, New
from tlda.errors import UserError
from tlda.options.recorded import Plain
from tlda.tasks import Place, Task


def alone(data: DomainPair, place: str, task: Task, fitted: Plain = None) -> DomainPair:
    """The inputs at ``place``, without labels, read as ``data`` read theirs, to be predicted.

    Args:
        data: the data whose reader and options are taken, see :meth:`tlda.data.DomainPair.read_new`; none of their rows is read.
        place: the file or folder of the inputs.
        task: the task of the checkpoint that predicts.
        fitted: what its data had learnt from their rows (:attr:`tlda.data.DomainPair.fitted`).
    """
    return _NewInputs(data, place, task, fitted)


class _NewInputs(DomainPair):
    """See :func:`alone`; no configuration names it."""

    def __init__(self, data: DomainPair, place: str, task: Task, fitted: Plain) -> None:
        super().__init__(eval_batch_size=data.eval_batch_size, num_workers=data.num_workers, seed=data.given_seed)
        self.data, self.place, self.fitted_before = data, place, fitted
        self.given_task, self.ten_crop = task, data.ten_crop

    @property
    def task(self) -> Task:
        return self.given_task

    @property
    def tokenizers(self) -> list[str]:
        return self.data.tokenizers

    @cached_property
    def new(self) -> New:
        """The inputs, read once."""
        self.data.trainer = self.trainer
        try:
            return self.data.read_new(self.place, self.fitted_before)
        except (TypeError, LookupError) as error:
            if self.fitted_before is None:
                raise
            raise UserError(
                f"what the checkpoint learnt from its data cannot be read ({error}): it is damaged; name another one"
            ) from error

    def load(self) -> tuple[Domain, Domain]:
        domain = Domain("new", self.new.rows, labelled=False)
        return domain, domain

    def setup(self, stage: str) -> None:
        self.domains = self.loaded

    @property
    def places(self) -> list[Place]:
        return [Place("new", "target", self.new.rows)]

    def describe_row(self, row: int) -> str:
        return self.new.names[row]
