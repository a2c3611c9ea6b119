"""What a run keeps in its checkpoints so that it goes on, from the end of an epoch or the middle of one, as if it had not stopped."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlda.errors import UserError
from tlda.training.lightning import accumulates, in_mid_epoch, settle
from tlda.training.processes import of_all
from tlda.training.requeue import obey_between_batches
from tlda.training.trained import Trained

KEY = "tlda.resume"


def keep(method: Trained, checkpoint: dict[str, Any]) -> None:
    """Write into ``checkpoint``, where it is one to go on from, what each process needs for that."""
    if "optimizer_states" in checkpoint and method._trainer is not None:
        own = {name: module.get_extra_state() for name, module in _of_process(method)}
        checkpoint[KEY] = of_all({"random": random_states(method.device), "gradients": _gradients(method), "own": own})


def _of_process(method: Trained) -> list[tuple[str, Any]]:
    """The modules whose state is each process's own, by name, where there are several."""
    several = method.trainer.world_size > 1
    return [(name, module) for name, module in method.named_modules() if several and getattr(module, "of_process", False)]


def _gradients(method: Trained) -> dict[str, Tensor]:
    """The gradients of the last batches, where they wait for more."""
    if not accumulates(method.trainer):
        return {}
    return {name: p.grad.cpu() for name, p in method.named_parameters() if p.grad is not None}


def random_states(device: torch.device) -> dict[str, Any]:
    """The states of all generators that a run draws from, as plain data: torch's, that of its ``device``, numpy's, Python's."""
    kind, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "device": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "python": random.getstate(),
    }


def set_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Draw on from the ``states`` of :func:`random_states`."""
    torch.set_rng_state(states["torch"].cpu())
    if states["device"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(states["device"].cpu(), device)
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
    random.setstate(states["python"])


def go_on(method: Trained, kept: list[Any] | None) -> None:
    """Let ``method``, which is about to train, go on where its checkpoint was written, if it has one: with ``kept``, see :func:`keep`.

    Raises:
        UserError: the checkpoint is of the middle of an epoch, and has not what each process needs.
    """
    trainer = method.trainer
    obey_between_batches(trainer)
    if not trainer.fit_loop.is_resuming:
        return
    settle(trainer)
    if kept is not None and len(kept) == trainer.world_size:
        set_random_states(kept[trainer.global_rank]["random"], method.device)
        for name, gradient in kept[trainer.global_rank]["gradients"].items():
            method.get_parameter(name).grad = gradient.to(method.device)
        for name, module in _of_process(method):
            module.set_extra_state(kept[trainer.global_rank]["own"][name])
    elif in_mid_epoch(trainer):
        written = f"by {len(kept)} process(es), and this run has {trainer.world_size}" if kept else "by an earlier version"
        raise UserError(
            f"the checkpoint was written in the middle of an epoch {written}, where no run can go on exactly: go on in as many processes, "
            "or from a checkpoint of the end of an epoch"
        )
