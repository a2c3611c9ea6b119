"""Averages of a network's weights: with what its run started from, over its steps, and over the valley of its validation loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tlda.errors import UserError
from tlda.network import Network
from tlda.options.recorded import Recorded

KEY = "tlda.average"
PREFIX = "network."

Weights = dict[str, Tensor]


def interpolated(start: Weights, trained: Weights, weight: float) -> Weights:
    r"""Interpolate between two states of a network (WiSE-FT: Wortsman et al., CVPR 2022, sec. 3).

    .. math:: (1 - \alpha) \theta_0 + \alpha \theta_1

    At 0 and 1 it is one of both, bit for bit. Running statistics are interpolated as weights are; whole numbers are those of ``trained``.

    Args:
        start: :math:`\theta_0`; of what it lacks, ``trained`` is taken.
        trained: :math:`\theta_1`.
        weight: :math:`\alpha`, from 0 to 1.
    """
    kept = {name: value for name, value in start.items() if value.is_floating_point()}
    return {name: torch.lerp(kept[name].to(value), value, weight) if name in kept else value for name, value in trained.items()}


class Average(Recorded):
    """The base of averages of weights, which a method answers by at each validation and from the end of training on."""

    watches_source: bool = False
    """Whether it looks at the loss on the held-out rows of the source, before each validation."""

    state: dict[str, Any]
    """What a checkpoint keeps of it, as plain data and tensors; empty before a run."""

    def begin(self, weights: Weights, parts: set[str]) -> None:
        """Look at the ``weights`` that a run starts from, of which only those of ``parts`` of the network do not start at random."""

    def follow(self, weights: Weights) -> None:
        """Look at the ``weights`` after a step. They are the network's own: what is kept of them must be a copy."""

    def watch(self, risk: float) -> None:
        """Look at the mean ``risk`` of the trained network on the held-out rows of the source."""

    def of(self, trained: Weights) -> Weights:
        """The average at the end of a run that ends here, with the ``trained`` weights."""
        return trained


class Start(Average):
    """The average with the start (WiSE-FT); of a head or bottleneck that starts at random, what was trained.

    Args:
        average: the weight of the trained network.
    """

    def __init__(self, average: float) -> None:
        self.average, self.state = average, {}

    def begin(self, weights: Weights, parts: set[str]) -> None:
        self.state = {"start": {name: value.clone() for name, value in weights.items() if name.split(".")[0] in parts}}

    def of(self, trained: Weights) -> Weights:
        return interpolated(self.state["start"], trained, self.average)


class EMA(Average):
    """The exponential moving average over the batches of a run.

    Early on a batch counts more, ``9 / (10 + batches)`` at least, so that a short run forgets its start too.

    Args:
        momentum: how much of the average a batch leaves, from 0 to less than 1.
    """

    def __init__(self, momentum: float = 0.999) -> None:
        self.momentum, self.state = momentum, {}

    def follow(self, weights: Weights) -> None:
        steps = self.state.get("steps", 0)
        momentum = min(self.momentum, (1 + steps) / (10 + steps))
        self.state = {"steps": steps + 1, "mean": mixed(self.state.get("mean"), weights, 1 - momentum)}

    def of(self, trained: Weights) -> Weights:
        return {**trained, **self.state["mean"]} if self.state else trained


class SWAD(Average):
    """Stochastic weight averaging, densely, over the valley of the loss on the source's held-out rows (Cha et al., NeurIPS 2021, alg. 1).

    Each step counts. The valley begins at the first validation that is followed by ``converged`` - 1 worse ones, and ends where none of
    ``patience`` validations is below the mean loss of those at its beginning, and ``tolerance`` of it more. Before it begins the network
    answers as it is. The authors validate every 50 to 300 steps: set ``trainer.val_check_interval``, or ``data.steps``.

    Args:
        converged: the validations that the beginning is the best of.
        patience: the validations that the end is seen by, as many as ``converged`` or more.
        tolerance: by what fraction the loss may rise.
    """

    watches_source = True

    def __init__(self, converged: int = 3, patience: int = 6, tolerance: float = 0.3) -> None:
        if not 1 < converged <= patience or tolerance < 0:
            raise UserError(
                f"SWAD(converged={converged}, patience={patience}, tolerance={tolerance}): converged is 2 or more, patience as "
                "many or more, and tolerance 0 or more"
            )
        self.converged, self.patience, self.tolerance, self.state = converged, patience, tolerance, {}

    def follow(self, weights: Weights) -> None:
        steps = self.state.get("steps", 0)
        self.state = {**self.state, "steps": steps + 1, "segment": mixed(self.state.get("segment"), weights, 1 / (steps + 1))}

    def watch(self, risk: float) -> None:
        if not self.state.get("steps") or self.state.get("ended"):
            return
        own = {"risk": risk, "steps": self.state["steps"], "mean": self.state["segment"]}
        recent = [*self.state.get("recent", ()), own][-self.patience :]
        self.state = {**self.state, "steps": 0, "segment": None, "recent": recent}
        if "limit" not in self.state:
            self._begin_valley(recent[-self.converged :])
        elif len(recent) == self.patience:
            self.state = {**self.state, **self._extended(recent, len(recent) - 1)}

    def _begin_valley(self, last: list[dict[str, Any]]) -> None:
        """Let the valley begin where the first of the ``last`` validations is the best of them."""
        risks = [segment["risk"] for segment in last]
        if len(last) == self.converged and min(risks) == risks[0]:
            limit = sum(risks) / len(risks) * (1 + self.tolerance)
            self.state = {**self.state, "limit": limit, "valley": last[0], "recent": last[1:]}

    def _extended(self, recent: list[dict[str, Any]], left: int) -> dict[str, Any]:
        """The valley with the segments of ``recent`` from the oldest on, until ``left`` are left or none of them is below the limit."""
        valley, ended = self.state["valley"], False
        while len(recent) > left:
            if ended := min(segment["risk"] for segment in recent) > self.state["limit"]:
                break
            oldest, *recent = recent
            steps = valley["steps"] + oldest["steps"]
            valley = {**valley, "steps": steps, "mean": mixed(valley["mean"], oldest["mean"], oldest["steps"] / steps)}
        return {"valley": valley, "recent": recent, "ended": ended}

    def of(self, trained: Weights) -> Weights:
        if "limit" not in self.state:
            return trained
        valley = self.state["valley"] if self.state.get("ended") else self._extended(self.state["recent"], 0)["valley"]
        return {**trained, **valley["mean"]}


def mixed(mean: Weights | None, weights: Weights, share: float) -> Weights:
    """The ``mean`` with a ``share`` of ``weights``, those that are numbers with a point; a copy of these where there is no mean yet."""
    floats = {name: value for name, value in weights.items() if value.is_floating_point()}
    if mean is None:
        return {name: value.clone() for name, value in floats.items()}
    return {name: torch.lerp(mean[name].to(value), value, share) for name, value in floats.items()}


class Averaging:
    """Answers by an average of the network, at each validation and from the end of training on; trains the network itself.

    A checkpoint has the average for its network, as whoever reads it expects, and beside it what a run goes on from.

    Args:
        average: the average, the weight of the trained network for :class:`Start`, or None for none.
    """

    def __init__(self, average: Average | float | None) -> None:
        self.average = Start(average) if isinstance(average, int | float) else average
        self.begun = False
        self.trained: Weights | None = None
        self.parts = {"backbone"}
        """The parts of the network that do not start at random, without a head of texts, which does not either."""

    def begin(self, network: Network) -> None:
        """Remember where ``network`` starts, in :attr:`parts`, or train on where it was."""
        if self.average is not None:
            self.leave(network)
            if not self.begun:
                self.begun, self.average.state = True, {}
                head = {"head"} if network.asked and network.asked.text else set()
                self.average.begin(_copied(network), self.parts | head)

    def follow(self, network: nn.Module) -> None:
        """Look at ``network`` after a step."""
        if self.average is not None:
            with torch.no_grad():
                self.average.follow(network.state_dict())

    def watch(self, risk: Callable[[], float]) -> None:
        """Look at the ``risk`` of the trained network on the held-out rows of the source, which is computed where it is asked for."""
        if self.average is not None and self.average.watches_source:
            with torch.inference_mode(False), torch.no_grad():
                self.average.watch(risk())

    def enter(self, network: nn.Module) -> None:
        """Turn ``network`` into the average."""
        if self.average is not None and self.begun and self.trained is None:
            self.trained = _copied(network)
            network.load_state_dict(self.average.of(self.trained))

    def leave(self, network: nn.Module) -> None:
        """Turn ``network`` back into the trained one."""
        if self.trained is not None:
            network.load_state_dict(self.trained)
            self.trained = None

    def keep(self, checkpoint: dict[str, Any], network: nn.Module) -> None:
        """Write the average into ``checkpoint`` and, where it is one to go on from, what it is the average of."""
        if self.average is None or not self.begun:
            return
        trained = self.trained or _copied(network)
        average = self.average.of(trained)
        checkpoint["state_dict"].update({f"{PREFIX}{name}": value for name, value in average.items()})
        if "optimizer_states" in checkpoint:
            checkpoint[KEY] = {**self.average.state, "trained": trained}

    def go_on(self, checkpoint: dict[str, Any], fitting: bool) -> None:
        """Take what :meth:`keep` wrote: to train on, the trained network; to answer, the average as it is."""
        kept = checkpoint.get(KEY) if fitting else None
        self.begun, self.trained = kept is not None, None
        if kept is not None:
            if self.average is not None:
                self.average.state = {name: value for name, value in kept.items() if name != "trained"}
            checkpoint["state_dict"].update({f"{PREFIX}{name}": value for name, value in kept["trained"].items()})


def _copied(network: nn.Module) -> Weights:
    with torch.inference_mode(False), torch.no_grad():  # also in a validation, whose tensors no training could use
        return {name: value.detach().clone() for name, value in network.state_dict().items()}
