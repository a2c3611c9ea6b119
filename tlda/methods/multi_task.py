"""Several tasks on one network."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import Sample
from tlda.losses.weightings import Equal, Weighting
from tlda.method import Method
from tlda.tasks.several import TaskHeads, first_of, measured, parts_of, require_one_count, score
from tlda.training.trainers import batch_seed


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
        super().__init__(num_classes=first_of(parts), **kwargs)
        self.num_classes = num_classes  # type: ignore[assignment]
        self.head = TaskHeads(self.num_features, parts, weighting or Equal())
        require_one_count(self.losses, parts)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        losses: dict[str, Tensor] = {}
        added: dict[str, Tensor] = {}
        for part, pair in ({"": batch} if "" in self.head.parts else batch._asdict()).items():
            source, target = self.head.first(part, self.forward_pair(pair), pair)
            losses |= self.head.losses(part, source.features, pair[0])
            added |= {f"{name}_{part}".rstrip("_"): value for name, value in self.added(pair, source, target).items()}
        self.head.weighting.generator.manual_seed(batch_seed(self.trainer))
        reduce = self.trainer.strategy.reduce
        return self.total({**self.head.weigh(losses, (self.backbone, self.bottleneck), lambda x: reduce(x, reduce_op="mean")), **added})

    def on_train_epoch_end(self) -> None:
        self.head.weighting.end_epoch()

    def validation_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        score(self, "val", batch, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        self.log_epoch(measured(self.measures).validated())

    def test_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        score(self, "test", batch, dataloader_idx)
