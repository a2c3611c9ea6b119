"""The average of a network with what its run started from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tlda.network import Network

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


class Averaging:
    """Answers by the average of a network with its start, at each validation and from the end of training on; trains the network itself.

    A checkpoint has the average for its network, as whoever reads it expects, and beside it what a run goes on from.

    Args:
        weight: that of the trained network, or None for no average.
    """

    def __init__(self, weight: float | None) -> None:
        self.weight = weight
        self.start: Weights | None = None
        self.trained: Weights | None = None
        self.parts = {"backbone"}
        """The parts of the network that do not start at random, without a head of texts, which does not either."""

    def begin(self, network: Network) -> None:
        """Remember where ``network`` starts, in :attr:`parts`, or train on where it was."""
        if self.weight is not None:
            self.leave(network)
            if self.start is None:
                parts = self.parts | ({"head"} if network.asked and network.asked.text else set())
                self.start = {name: value for name, value in _copied(network).items() if name.split(".")[0] in parts}

    def enter(self, network: nn.Module) -> None:
        """Turn ``network`` into the average."""
        if self.weight is not None and self.start is not None and self.trained is None:
            self.trained = _copied(network)
            network.load_state_dict(interpolated(self.start, self.trained, self.weight))

    def leave(self, network: nn.Module) -> None:
        """Turn ``network`` back into the trained one."""
        if self.trained is not None:
            network.load_state_dict(self.trained)
            self.trained = None

    def keep(self, checkpoint: dict[str, Any], network: nn.Module) -> None:
        """Write the average into ``checkpoint`` and, where it is one to go on from, what it is the average of."""
        if self.weight is None or self.start is None:
            return
        trained = self.trained or _copied(network)
        average = interpolated(self.start, trained, self.weight)
        checkpoint["state_dict"].update({f"{PREFIX}{name}": value for name, value in average.items()})
        if "optimizer_states" in checkpoint:
            checkpoint[KEY] = {"start": self.start, "trained": trained}

    def go_on(self, checkpoint: dict[str, Any], fitting: bool) -> None:
        """Take what :meth:`keep` wrote: to train on, the trained network; to answer, the average as it is."""
        kept = checkpoint.get(KEY) if fitting else None
        self.start, self.trained = kept and kept["start"], None
        if kept:
            checkpoint["state_dict"].update({f"{PREFIX}{name}": value for name, value in kept["trained"].items()})


def _copied(network: nn.Module) -> Weights:
    with torch.inference_mode(False), torch.no_grad():  # also in a validation, whose tensors no training could use
        return {name: value.detach().clone() for name, value in network.state_dict().items()}
