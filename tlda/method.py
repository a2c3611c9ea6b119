"""The one base class of every method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer

from tlda.backbones import Backbone
from tlda.batch import Batch, Inputs, Output, Pair, SourceBatch, Supervised, Takes
from tlda.errors import UserError
from tlda.finetuning import Full, Tuning
from tlda.inputs import joined, of_source, split
from tlda.losses import Loss
from tlda.network import Bottleneck, Head, Network
from tlda.nn import BatchNormUse, one_by_one
from tlda.optim import Adam, Optim, Schedule, named_groups
from tlda.tasks import Task
from tlda.training.averaging import Average, Averaging
from tlda.training.fitting import most_rows, refuse_loss, task_of
from tlda.training.hooked import Hooked
from tlda.training.target import training_batches
from tlda.training.trainers import logs_this_step


class Method(Hooked):
    """A network and losses: source only, until a loss is added.

    Override, in rising need: :meth:`add_loss` in ``__init__``, :meth:`objective`, :meth:`forward_pair`,
    :meth:`parameter_groups`, or :meth:`training_step` with manual optimization. Override :meth:`answer` for what adapts at test time.

    Args:
        backbone: the feature extractor.
        task: what is learnt, or a number of classes; on the command line it comes from the data.
        bottleneck: a layer between backbone and head, or its width; 0 for none.
        optimizer: the optimizer; Adam at 1e-3 where none is given.
        schedule: the learning rate's factor by progress; constant where none is given.
        lr_multipliers: a factor on the learning rate of ``backbone``, ``bottleneck``, ``head`` or ``losses``, or of a module within one,
            such as ``backbone.model``, what :class:`tlda.backbones.Dense` decodes.
        tuning: how far the backbone is fine-tuned; all of it where none is given.
        plus: losses to add under this method.
        init_from: a checkpoint whose backbone, bottleneck and head this run starts from.
        batchnorm: how the domains go through BatchNorm: ``joint`` as one batch, ``separate`` each by its own statistics, or ``target``, the
            same but that the running statistics, which a test uses, are those of the target; as the method has it where none is given.
        head: the last layers; the task's own one where none is given.
        few_labels: whether the labelled part of the target (``data.shots``, ``data.labelled``) is learnt beside the source, in batches as
            large. Losses that compare the domains see the source's own rows alone.
        average: answer by an average of weights: ``EMA`` or ``SWAD`` over the run's steps; or a number, the weight of what was trained in
            its average with what the run started from (WiSE-FT: Wortsman et al., CVPR 2022), without what starts at random.
    """

    batchnorm: BatchNormUse = "joint"
    """How the domains go through BatchNorm where no option says it, see :data:`tlda.nn.BatchNormUse`."""

    def __init__(
        self,
        backbone: Backbone,
        task: Task | int,
        bottleneck: Bottleneck | int = 0,
        optimizer: Optim | None = None,
        schedule: Schedule | None = None,
        lr_multipliers: dict[str, float] | None = None,
        tuning: Tuning | None = None,
        plus: Sequence[Loss] | None = None,
        init_from: str | None = None,
        batchnorm: BatchNormUse | None = None,
        head: Head | None = None,
        few_labels: bool | None = None,
        average: Average | float | None = None,
    ) -> None:
        super().__init__()
        self.task, self.init_from, self.progress, self.few_labels = task_of(self, task), init_from, 0.0, few_labels
        self.averaging = Averaging(average)
        self.network = Network(backbone, self.task, bottleneck, head)
        if batchnorm and batchnorm != self.batchnorm:
            if self.fixed_batchnorm:
                raise UserError(
                    f"--model.batchnorm is {batchnorm}, and the steps of {type(self).__name__} are {self.batchnorm}: leave it out"
                )
            self.batchnorm = batchnorm
        self.num_features = self.network.num_features
        self.tuning = tuning or Full()
        self.tuning.prepare(backbone)
        self.losses = nn.ModuleDict()
        self.optimizer, self.schedule = optimizer or Adam(), schedule or Schedule()
        self.lr_multipliers = lr_multipliers or {}
        for loss in plus or ():
            self.add_loss(loss.short_name(), loss)

    fixed_batchnorm: ClassVar[bool] = False
    """Whether the steps of the method decide how the domains go through BatchNorm, so that no option can."""

    recipe: dict[str, Any] = {}  # noqa: RUF012  (replaced, never changed)
    """The configuration that the method and its data were made from, where there was one; it rides in the checkpoint."""

    reads_classes: ClassVar[bool] = False
    """Whether the method itself looks at logits as classes, beside its losses: refused where the task has none."""

    trains_on_certainty: ClassVar[bool] = False
    """Whether the method makes the target's predictions certain: that they are certain is then no evidence."""

    takes: ClassVar[Takes] = "any"
    """The inputs that the method can train on."""

    pairs_rows: ClassVar[bool] = False
    """Whether the method pairs the rows of two batches, so that both must have as many: one per input."""

    setting: ClassVar[str] = "unsupervised"
    """The setting that the method is made for: ``unsupervised``, ``partial``, ``open``, ``universal``, ``multi-source``,
    ``generalisation``, ``semi-supervised``, ``source-free``, ``test-time``, ``few-shot``,
    ``label-shift``, ``cross-modal``, ``reinforcement`` or ``pretraining``; ``tlda list`` and docs/methods.md group methods by it."""

    takes_no_loss: ClassVar[str] = ""
    """Why no loss can be added to the method; empty where one can."""

    one_domain: ClassVar[bool] = False
    """Whether a step has the outputs of one domain alone, so that no loss can be added that compares two."""

    several_sources: ClassVar[bool] = False
    """Whether the method tells source domains apart, so that the data must pool two or more of them."""

    # What a method's author uses and overrides

    @property
    def batch_type(self) -> type:
        """The type of the training batch, whose fields are all that the method may see."""
        return Pair if any(loss.sees_target for loss in self.losses.values()) else SourceBatch

    def add_loss(self, name: str, loss: Loss) -> None:
        """Add ``loss`` to the objective, logged as ``train/name``; its parameters are made here."""
        refuse_loss(self, name, loss)
        loss.build(self.num_features, len(self.task.outputs))
        loss.attach(self)
        loss.max_rows = most_rows(self.task)
        self.losses[name] = loss

    def forward(self, x: Inputs) -> Output:
        output: Output = self.network(x)
        return output

    def features(self, x: Inputs) -> Tensor:
        """The features (r, d) that the head sees of inputs."""
        return self.network.features(x)

    def forward_pair(self, batch: Any) -> tuple[Output, Output]:
        """The outputs of the first and the last domain of ``batch``, which are one where it has only one."""
        inputs = [domain.x for domain in batch]
        outputs = split(self(joined(inputs)), inputs) if self.batchnorm == "joint" else one_by_one(self, inputs, self.batchnorm)
        return outputs[0], outputs[-1]

    def objective(self, batch: Any, source: Output, target: Output) -> dict[str, Tensor]:
        """The terms by name, whose sum is minimised: the task loss on the first domain's labels, and every added loss."""
        return {"task": self.task_loss(source.logits, batch[0].y), **self.added(batch, source, target)}

    def source_objective(self, batch: Supervised, source: Output) -> dict[str, Tensor]:
        """The terms of a step that sees no target: the task loss, and every added loss that does not look at one."""
        return {"task": self.task_loss(source.logits, batch[0].y), **self.added(batch, source, None)}

    def task_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The task's loss of logits to labels, a scalar."""
        return self.task.loss(self.network.with_labels(logits, labels), labels)

    def added(self, batch: Batch, source: Output, target: Output | None) -> dict[str, Tensor]:
        """The terms of the added losses by name; without a ``target``, of those that do not look at it."""
        losses: Any = self.losses.items()
        seen = {name: loss for name, loss in losses if target or not loss.sees_target}
        own = of_source(batch, source) if self.few_labels else (batch, source)
        parts = {name: own if loss.compares_domains else (batch, source) for name, loss in seen.items()}
        return {name: loss.term(*parts[name], target or source, self.progress) for name, loss in seen.items()}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Named groups of all parameters, each with its learning-rate multiplier."""
        parts = {name: getattr(self, name) for name in ("backbone", "bottleneck", "head", "losses")}
        return self.tuning.groups(self.backbone, named_groups(parts, self.lr_multipliers))

    def training_batches(self, field: str) -> Iterator[Any]:
        """Every training row of a ``field`` of the batch once, a batch at a time, without augmentation."""
        return training_batches(self, field)

    # What Lightning calls

    def configure_optimizers(self) -> Optimizer | Sequence[Optimizer]:
        return self.optimizer(self.parameter_groups())

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.total(self.objective(batch, *self.forward_pair(batch)))

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The sum of ``terms``, logged one by one; a term that is not finite ends the run by its name."""
        first, *others = (value.float() for value in terms.values())
        total = sum(others, first)
        self._watch.check(terms, total.detach(), logs_this_step(self.trainer), f"epoch {self.current_epoch}, step {self.global_step}")
        if logs_this_step(self.trainer):
            rates = {f"lr/{group['name']}": group["lr"] for o in self.trainer.optimizers for group in o.param_groups}
            self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()} | rates)
            self.log("train/loss", total.detach(), prog_bar=True)
        return total
