"""The one base class of every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from tlda.backbones import Backbone
from tlda.batch import Output, Pair, Prediction, Sample, SourceBatch
from tlda.data.seeds import run_seed
from tlda.errors import UserError
from tlda.finetuning import Full, Tuning
from tlda.inputs import arranged, joined, split
from tlda.losses import Loss
from tlda.metrics.measures import Measures, measures_of
from tlda.nn.depthwise import train_depthwise_in_float32
from tlda.optim import Adam, Optim, Schedule, named_groups, set_learning_rates
from tlda.training.checkpoint import describe, load_weights, refuse_other
from tlda.training.companions import refuse_companions, refuse_scheduler, refuse_unmeasured
from tlda.training.finite import FiniteWatch
from tlda.training.lightning import QuickNotes
from tlda.training.resume import KEY, go_on, keep
from tlda.training.trainers import (
    expect_unused_parameters,
    let_clip,
    log_short_runs,
    logs_this_step,
    progress_of,
    refuse_float16,
    refuse_max_steps,
)


class Method(QuickNotes, LightningModule):
    """A backbone, an optional bottleneck, a head, and losses: source only, until a loss is added.

    Override, in rising need: :meth:`add_loss` in ``__init__``, :meth:`objective`, :meth:`forward_pair`,
    :meth:`parameter_groups`, or :meth:`training_step` with manual optimization.

    Args:
        backbone: the feature extractor.
        num_classes: the number of classes; on the command line it comes from the data.
        bottleneck: the width of a layer between backbone and head; 0 for none.
        optimizer: the optimizer; Adam at 1e-3 where none is given.
        schedule: the learning rate's factor by progress; constant where none is given.
        lr_multipliers: a factor on the learning rate of ``backbone``, ``bottleneck``, ``head`` or ``losses``.
        tuning: how far the backbone is fine-tuned; all of it where none is given.
        plus: losses to add under this method.
        init_from: a checkpoint whose backbone, bottleneck and head this run starts from.
    """

    batchnorm: ClassVar[Literal["joint", "separate"]] = "joint"
    """Whether BatchNorm sees both domains as one batch (which keeps their gap in the features) or each for itself."""

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        bottleneck: int = 0,
        optimizer: Optim | None = None,
        schedule: Schedule | None = None,
        lr_multipliers: dict[str, float] | None = None,
        tuning: Tuning | None = None,
        plus: Sequence[Loss] | None = None,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        self.num_classes, self.init_from, self.progress = num_classes, init_from, 0.0
        self._kept: list[Any] | None = None
        self.num_features = bottleneck or backbone.num_features
        self.backbone = backbone.to(memory_format=torch.channels_last)
        train_depthwise_in_float32(self.backbone)
        self.bottleneck = nn.Sequential(nn.Linear(backbone.num_features, bottleneck), nn.ReLU()) if bottleneck else nn.Identity()
        self.head: nn.Module = nn.Linear(self.num_features, num_classes)
        self.tuning = tuning or Full()
        self.tuning.prepare(self.backbone)
        self.losses = nn.ModuleDict()
        self.optimizer, self.schedule = optimizer or Adam(), schedule or Schedule()
        self.lr_multipliers = lr_multipliers or {}
        self.measures = Measures(num_classes)
        for loss in plus or ():
            self.add_loss(loss.short_name(), loss)

    recipe: ClassVar[dict[str, Any]] = {}
    """The configuration that the method and its data were made from, where there was one; it rides in the checkpoint."""

    inputs: ClassVar[tuple[str, ...]] = ("values", "texts", "words")
    """The kinds of data that the method can train on, see :attr:`DomainPair.inputs`."""

    untrained: ClassVar[tuple[str, ...]] = ()
    """What the method leaves as it was made, of ``bottleneck`` and ``head``: another that starts from its checkpoint makes its own."""

    takes_no_loss: ClassVar[str] = ""
    """Why no loss can be added, where none can: the end of a sentence that begins with the method's name."""

    one_domain: ClassVar[bool] = False
    """Whether a step has the outputs of one domain alone, so that no loss can be added that compares two."""

    # What a method's author uses and overrides

    @property
    def batch_type(self) -> type:
        """The type of the training batch, whose fields are all that the method may see."""
        return Pair if any(loss.sees_target for loss in self.losses.values()) else SourceBatch

    def add_loss(self, name: str, loss: Loss) -> None:
        """Add ``loss`` to the objective, logged as ``train/name``; its parameters are made here."""
        if name in self.losses:
            raise UserError(f"{type(self).__name__} already has a loss named '{name}'; leave it out of --model.plus")
        if self.takes_no_loss:
            raise UserError(f"{type(self).__name__} {self.takes_no_loss}: leave the loss '{name}' out of --model.plus")
        if self.one_domain and loss.compares_domains:
            raise UserError(
                f"{type(self).__name__} trains on one domain at a time, and the loss '{name}' compares two: leave it out of --model.plus"
            )
        loss.build(self.num_features, self.num_classes)
        loss.attach(self)
        self.losses[name] = loss

    def forward(self, x: Tensor) -> Output:
        features = self.features(x)
        return Output(features, arranged(self.head(features), x))

    def features(self, x: Tensor) -> Tensor:
        """What the head sees of inputs, (n, d)."""
        features: Tensor = self.bottleneck(self.backbone(x))
        return features

    def forward_pair(self, batch: Any) -> tuple[Output, Output]:
        """The outputs of the first and the last domain of ``batch``, which are one where it has only one."""
        inputs = [domain.x for domain in batch]
        outputs = [self(x) for x in inputs] if self.batchnorm == "separate" else split(self(joined(inputs)), inputs)
        return outputs[0], outputs[-1]

    def infer(self, x: Tensor) -> Tensor:
        """The logits of target images where nothing is trained any more; a method that adapts at test time does so here."""
        logits: Tensor = self(x).logits
        return logits

    def objective(self, batch: Any, source: Output, target: Output) -> dict[str, Tensor]:
        """The terms by name, whose sum is minimised: the task loss on the first domain's labels, and every added loss."""
        return {"task": self.task_loss(source.logits, batch[0].y), **self.added(batch, source, target)}

    def source_objective(self, batch: Any, source: Output) -> dict[str, Tensor]:
        """The terms of a step that sees no target: the task loss, and every added loss that does not look at one."""
        return {"task": self.task_loss(source.logits, batch[0].y), **self.added(batch, source, None)}

    def task_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The cross-entropy, in nats, of logits (n, c) to labels (n,)."""
        return cross_entropy(logits, labels)

    def added(self, batch: Any, source: Output, target: Output | None) -> dict[str, Tensor]:
        """The terms of the added losses by name; without a ``target``, of those that do not look at it."""
        losses: Any = self.losses.items()
        seen = {name: loss for name, loss in losses if target or not loss.sees_target}
        return {name: loss.term(batch, source, target or source, self.progress) for name, loss in seen.items()}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Named groups of all parameters, each with its learning-rate multiplier."""
        parts = {name: getattr(self, name) for name in ("backbone", "bottleneck", "head", "losses")}
        return self.tuning.groups(self.backbone, named_groups(parts, self.lr_multipliers))

    # What Lightning calls

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer(self.parameter_groups())

    def setup(self, stage: str) -> None:
        refuse_companions(self, stage)
        self.measures = measures_of(self)
        expect_unused_parameters(self)
        if self.init_from:
            load_weights(self, self.init_from)
            self.init_from = None  # a test after a fit must not start over

    def on_fit_start(self) -> None:
        refuse_float16(self)
        refuse_max_steps(self)
        refuse_scheduler(self)
        let_clip(self)
        self._watch = FiniteWatch()
        for loss in self.losses.values():
            loss.begin(self)  # type: ignore[operator]

    def on_train_start(self) -> None:
        go_on(self, self._kept)
        log_short_runs(self.trainer)

    def on_train_epoch_start(self) -> None:
        # Dropout and augmentation become a function of (seed, epoch, rank), so that a resumed run equals an uninterrupted one.
        torch.manual_seed(1_000_003 * run_seed() + 1_009 * self.current_epoch + self.global_rank)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.progress = progress_of(self.trainer)
        self.tuning.apply(self)
        set_learning_rates(self.trainer.optimizers, self.schedule(self.progress) * self.tuning.rate(self.progress))

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

    def step(self, terms: dict[str, Tensor], *optimizers: Any) -> None:
        """One step of ``optimizers`` on the sum of ``terms``, under manual optimization."""
        self.zero_grad()
        self.manual_backward(self.total(terms))
        for optimizer in optimizers:
            optimizer.step()

    def validation_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        output = self(batch.x)
        self.measures.validate(self, batch, output, dataloader_idx)
        self.log_epoch(self.measures.score("val", dataloader_idx, output.logits, batch))

    def on_validation_epoch_end(self) -> None:
        self.log_epoch(self.measures.validated())
        refuse_unmeasured(self)

    def test_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        logits = self.infer(batch.x) if dataloader_idx == 1 else self(batch.x).logits
        self.log_epoch(self.measures.score("test", dataloader_idx, logits, batch))
        if dataloader_idx == 1:
            self.log_epoch(self.measures.test_target(logits, batch.y))

    def log_epoch(self, values: Mapping[str, Any]) -> None:
        """Log metrics, or values that all processes have alike, once an epoch; what selects is in the progress bar."""
        for name, value in values.items():
            bar = name.endswith("accuracy") and not name.startswith("test")
            self.log(name, value, on_step=False, on_epoch=True, add_dataloader_idx=False, prog_bar=bar, sync_dist=isinstance(value, Tensor))

    def predict_step(self, batch: Sample, batch_idx: int) -> Prediction:
        confidence, label = self.infer(batch.x).float().softmax(1).max(1)
        return Prediction(batch.row, label, confidence)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        describe(self, checkpoint)
        keep(self, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        refuse_other(self, checkpoint)
        self._kept = checkpoint.get(KEY)
