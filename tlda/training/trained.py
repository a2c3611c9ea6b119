"""The attributes that the checks and hooks of a run read of a method."""

from __future__ import annotations

from typing import Any, ClassVar

from pytorch_lightning import LightningModule
from torch import nn

from tlda.backbones import Backbone
from tlda.batch import Takes
from tlda.finetuning import Tuning
from tlda.network import Network
from tlda.optim import Schedule
from tlda.tasks import Task
from tlda.training.averaging import Averaging


class Trained(LightningModule):
    """A module with a network, a task and losses. :class:`tlda.method.Method` gives each attribute its value and says what it means."""

    network: Network
    task: Task
    losses: nn.ModuleDict
    tuning: Tuning
    schedule: Schedule
    progress: float
    init_from: str | None
    averaging: Averaging
    recipe: dict[str, Any]

    setting: ClassVar[str]
    reads_classes: ClassVar[bool]
    takes: ClassVar[Takes]
    pairs_rows: ClassVar[bool]
    takes_no_loss: ClassVar[str]
    one_domain: ClassVar[bool]
    several_sources: ClassVar[bool]
    whole_inputs: ClassVar[str] = ""
    """Why a row must not be a position of an image, such as "keeps a memory of each row"; empty where it may be one."""
    few_labels: bool | None
    few_labels_fit: ClassVar[bool] = True
    """Whether a few labelled rows of the target can be learnt among those of the source: not where the method itself aligns those rows."""

    @property
    def batch_type(self) -> type:
        """The type of the training batch."""
        raise NotImplementedError

    @property
    def starting(self) -> Network:
        """The network that the checkpoint of ``init_from`` is loaded into: the one that trains, unless a method has a teacher there."""
        return self.network

    @property
    def backbone(self) -> Backbone:
        """The feature extractor."""
        return self.network.backbone

    @property
    def bottleneck(self) -> nn.Module:
        """The layer between backbone and head."""
        return self.network.bottleneck

    @property
    def head(self) -> Any:
        """The last layer: made by the task, or by a method that has one of its own, whose attributes it then reads here."""
        return self.network.head
