"""A test on a stream: where what a method adapted starts over, and the error by shift and over the stream."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tlda.batch import Output, Sample
from tlda.data.stream import Stream
from tlda.tasks import Task
from tlda.tasks.classification import scored
from tlda.training.lightning import data_of
from tlda.training.target import start_over
from tlda.training.trained import Trained

PARTS = 20
"""The parts of a stream whose errors make its curve."""


def stream_of(method: Trained) -> Stream | None:
    """The stream as which the data of ``method`` test the target; None where they do not."""
    return getattr(data_of(method.trainer), "stream", None)


def forget(method: Trained) -> None:
    """Let a method that adapts at test start over; any other has nothing to forget."""
    adapting: Any = method
    if hasattr(method, "adapted"):
        start_over(adapting)


class Passed:
    """The rows of a stream that have passed: the shift of each, and whether its answer was wrong."""

    def __init__(self) -> None:
        self.shifts: list[int] = []
        self.wrong: list[bool] = []

    def starts_over(self, stream: Stream, batch: Sample) -> bool:
        """Whether what was adapted starts over before ``batch``."""
        new = bool(self.shifts) and self.shifts[-1] != int(batch.domain[0])
        return stream.reset == "sample" or (stream.reset == "shift" and stream.order != "mixed" and new)

    def count(self, task: Task, batch: Sample, output: Output) -> None:
        """Count a batch of a task with classes; rows without a label are left out."""
        if not task.classes or batch.y.ndim != 1:
            return
        known = task.known(batch.y)
        self.shifts += batch.domain[known].tolist()
        self.wrong += (scored(task, output.logits).argmax(1) != batch.y)[known].tolist()

    def by_shift(self, stream: Stream) -> dict[str, float]:
        """The accuracy on the rows of each shift, by the name of its metric."""
        found = {}
        for number, name in enumerate(stream.shifts):
            rows = [wrong for wrong, shift in zip(self.wrong, self.shifts, strict=True) if shift == number]
            if rows and len(stream.shifts) > 1:
                found[f"test/target/{name}/accuracy"] = 1 - sum(rows) / len(rows)
        return found

    def curve(self) -> Sequence[float]:
        """The error in each of :data:`PARTS` equal parts of the stream, in its order; empty where nothing was counted."""
        ends = [len(self.wrong) * part // PARTS for part in range(PARTS + 1)]
        return [sum(self.wrong[a:b]) / (b - a) for a, b in pairwise(ends) if b > a]
