"""Several tasks on one network."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import Sample
from tlda.losses import Loss
from tlda.method import Method
from tlda.tasks import TaskHeads, measured, parts_of
from tlda.weightings import Equal, Weighting


class MultiTask(Method):
    """A head a task on one shared backbone, the tasks' losses or gradients weighted; with ``plus``, adapted to the target too.

    The tasks are those of the data: a label a task of each row (:class:`tlda.data.Relabelled`), or a data set each
    (:class:`tlda.data.Tasks`), with a batch of each in a step. Added losses see the features, and the logits of the first task of each
    data set.

    Args:
        num_classes: the number of classes, that by task, or that by data set and task; on the command line it comes from the data.
        weighting: how the tasks' losses become one; their sum where none is given.
    """

    inputs: ClassVar[tuple[str, ...]] = (*Method.inputs, "spans")
    head: TaskHeads

    def __init__(self, num_classes: int | Mapping[str, Any], weighting: Weighting | None = None, **kwargs: Any) -> None:
        parts = parts_of(num_classes)
        tasks = {task: count for part in parts.values() for task, count in part.items()}
        super().__init__(num_classes=next(iter(tasks.values())), **kwargs)
        self.num_classes, self.parts = num_classes, parts  # type: ignore[assignment]
        self.head = TaskHeads(self.num_features, tasks, weighting or Equal())

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        losses: dict[str, Tensor] = {}
        added: dict[str, Tensor] = {}
        for part, pair in ({"": batch} if "" in self.parts else batch._asdict()).items():
            source, target = self.forward_pair(pair)
            losses |= self.head.losses(self.parts[part], source.features, pair[0])
            for name, loss in self.losses.items():
                assert isinstance(loss, Loss)
                added[f"{name}_{part}".rstrip("_")] = loss.term(pair, source, target, self.progress)
        reduce = self.trainer.strategy.reduce
        return self.total({**self.head.weigh(losses, (self.backbone, self.bottleneck), lambda x: reduce(x, reduce_op="mean")), **added})

    def on_train_epoch_end(self) -> None:
        self.head.weighting.end_epoch()

    def validation_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        for task, (output, sample) in self.answers(batch, dataloader_idx).items():
            if task == next(iter(self.head.tasks)):
                measured(self.measures, task).validate(self, sample, output, dataloader_idx)
            self.log_epoch(measured(self.measures, task).score("val", dataloader_idx % 2, output.logits, sample))

    def on_validation_epoch_end(self) -> None:
        self.log_epoch(measured(self.measures, next(iter(self.head.tasks))).validated())

    def test_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        for task, (output, sample) in self.answers(batch, dataloader_idx).items():
            self.log_epoch(measured(self.measures, task).score("test", dataloader_idx % 2, output.logits, sample))
            if dataloader_idx % 2 == 1:
                self.log_epoch(measured(self.measures, task).test_target(output.logits, sample.y))

    def answers(self, batch: Sample, loader: int) -> dict[str, Any]:
        """By task, the output and labels of a batch of the ``loader``: each data set has one for the source and one for the target."""
        return self.head.answers(list(self.parts.values())[loader // 2], self(batch.x).features, batch)
