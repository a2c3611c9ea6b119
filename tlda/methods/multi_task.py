"""Several tasks on one network."""

from typing import Any, ClassVar

from torch import Tensor

from tlda.losses.weightings import Equal, Weighting
from tlda.method import Method
from tlda.tasks import Several, Task
from tlda.tasks.heads import TaskHeads, require_one_count
from tlda.training.trainers import batch_seed


class MultiTask(Method):
    r"""A head per task on one shared backbone, the tasks' losses or gradients weighted; with ``plus``, adapted to the target too.

    .. math:: \sum_t w_t \, L_t(h_t(f))

    The tasks are those of the data: one label per task in each row (:class:`tlda.data.Relabelled`), or one data set per task
    (:class:`tlda.data.Tasks`), with a batch of each in a step. Added losses see the features, and the logits of the first task of each
    data set.

    Args:
        task: several tasks, or one; on the command line it comes from the data.
        weighting: how the tasks' losses become one; their sum where none is given.
    """

    whole_inputs: ClassVar[str] = "has several tasks of each input"

    def __init__(self, *, task: Task | int, weighting: Weighting | None = None, **kwargs: Any) -> None:
        super().__init__(task=task.first if isinstance(task, Several) else task, **kwargs)
        several = task if isinstance(task, Several) else Several({"": {"task": self.task}})
        self.task = self.network.task = several
        self.network.replace_head(TaskHeads(self.num_features, several.by_data, weighting or Equal()))
        require_one_count(self.losses, several.by_data)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Sum the weighted losses of all tasks, and the added losses of each data set."""
        losses: dict[str, Tensor] = {}
        added: dict[str, Tensor] = {}
        for part, pair in ({"": batch} if "" in self.head.by_data else batch._asdict()).items():
            source, target = self.head.first(part, self.forward_pair(pair), pair)
            losses |= self.head.losses(part, source.features, pair[0])
            added |= {f"{name}_{part}".rstrip("_"): value for name, value in self.added(pair, source, target).items()}
        self.head.weighting.generator.manual_seed(batch_seed(self.trainer))
        reduce = self.trainer.strategy.reduce
        return self.total({**self.head.weigh(losses, (self.backbone, self.bottleneck), lambda x: reduce(x, reduce_op="mean")), **added})

    def on_train_epoch_end(self) -> None:
        self.head.weighting.end_epoch()
