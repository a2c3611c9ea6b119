"""The base class of every way to fine-tune a backbone, and the switch of what is frozen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from tlda.batch import Learner
from tlda.errors import UserError
from tlda.options.recorded import Recorded

if TYPE_CHECKING:
    from tlda.backbones import Backbone


class Tuning(Recorded):
    """How far the backbone is fine-tuned: all of it, at one rate, unless a subclass says otherwise.

    Every parameter is in the optimizer from the start. What is frozen is so by ``requires_grad``, and is as in evaluation: its
    BatchNorm keeps its statistics, and it has no dropout. What is, is a function of the run's progress and epoch, so a run goes
    on from a checkpoint as it would have without a stop. Bottleneck, head and losses always train.
    """

    freezes: ClassVar[bool] = False
    """Whether it ever freezes anything."""

    def __init__(self) -> None:
        self._switch: Switch | None = None

    def prepare(self, backbone: Backbone) -> None:
        """Change the layers of ``backbone``, once, before anything else sees it."""

    def groups(self, backbone: Backbone, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The optimizer's ``groups``, that of the backbone taken apart where it learns at several rates."""
        return groups

    def rate(self, progress: float) -> float:
        """A factor on all learning rates, beside the schedule's."""
        return 1.0

    def plain_key(self, key: str) -> str | None:
        """What the parameter ``key`` is called in a network without this, or None where there is none."""
        return key

    def stage(self, blocks: int, progress: float, epoch: int) -> int:
        """The number of what trains at ``progress`` and ``epoch``, for a backbone of so many ``blocks``."""
        return 0

    def trained(self, backbone: Backbone, stage: int) -> Iterable[nn.Parameter]:
        """The parameters of ``backbone`` that train in a ``stage``."""
        return backbone.parameters()

    def apply(self, method: Learner) -> None:
        """Freeze what does not train now. Called before each batch, so that nothing that happens in between thaws it.

        Raises:
            UserError: nothing of ``method`` would train.
        """
        if not self.freezes:
            return
        self._switch = switch = self._switch or Switch(method.network.backbone)
        stage = self.stage(len(switch.blocks), method.progress, method.current_epoch)
        if stage not in switch.positions:
            switch.add(stage, self.trained(method.network.backbone, stage))
            switch.turn(stage)
            if not any(parameter.requires_grad for parameter in method.parameters()):
                names = type(self).__name__, type(method).__name__
                raise UserError("{} leaves {} nothing to train: set --model.bottleneck, or another --model.tuning".format(*names))
        switch.turn(stage)


class Full(Tuning):
    """The whole backbone, at one rate."""


class Switch:
    """Which parts of a backbone train, for each stage of a run. What did not train at first never does."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone, self.blocks = backbone, backbone.blocks()
        self.parameters = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
        self.modules = [module for module in backbone.modules() if module.training]
        self.positions: dict[int, tuple[list[tuple[nn.Parameter, bool]], list[tuple[nn.Module, bool]]]] = {}

    def add(self, stage: int, trained: Iterable[nn.Parameter]) -> None:
        """Remember that ``trained`` are the parameters that train in ``stage``."""
        on = {id(parameter) for parameter in trained}
        block_of = {module: block for block in self.blocks for module in block.modules()}
        modules = [(module, _trains(module, block_of.get(module, self.backbone), on)) for module in self.modules]
        self.positions[stage] = [(parameter, id(parameter) in on) for parameter in self.parameters], modules

    def turn(self, stage: int) -> None:
        """Freeze and thaw for ``stage``."""
        parameters, modules = self.positions[stage]
        for parameter, on in parameters:
            parameter.requires_grad_(on)
            if not on:
                parameter.grad = None
        for module, on in modules:
            module.training = on


def _trains(module: nn.Module, block: nn.Module, on: set[int]) -> bool:
    """Whether ``module`` is in training mode: by its own parameters, or where it has none by those of its ``block``."""
    if own := [id(parameter) in on for parameter in module.parameters()]:
        return any(own)
    others = [id(parameter) in on for parameter in block.parameters()]
    keeps_statistics = next(module.buffers(), None) is not None
    return not others or (all(others) if keeps_statistics else any(others))
