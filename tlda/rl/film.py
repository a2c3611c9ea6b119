"""Film strips: what a policy does in the target's physics, as gymnasium draws it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import numpy as np
import torch

from tlda.nn import evaluating
from tlda.rl.environments import gym, set_on, single

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from tlda.rl.physics import Acting, Physics
    from tlda.rl.policy import Policy

FRAMES = 8
"""The frames of a strip."""


def frames(method: Acting, data: Physics) -> list[NDArray[np.uint8]]:
    """The frames of one greedy episode in the middle of the target's ranges, one per step.

    Raises:
        gymnasium.error.DependencyNotInstalled: the package that draws is missing.
    """
    for driver in ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        os.environ.setdefault(driver, "dummy")  # nothing is shown or heard, so that no screen is asked for
    env = single(data.environment, render_mode="rgb_array")
    set_on(env.unwrapped, {name: float(np.mean(value)) for name, value in data.physics["target"].items()})
    x, drawn, ended = env.reset(seed=data.seed)[0], [], False
    while not ended:
        drawn.append(np.asarray(env.render(), dtype=np.uint8))
        seen = torch.from_numpy(np.asarray(x, dtype=np.float32))[None]
        x, _, terminated, truncated, _ = env.step(int(method.answer(seen.to(method.device), "target").logits.argmax()))
        ended = bool(terminated or truncated)
    env.close()
    return drawn


def film_strip(method: Policy, data: Physics) -> Figure | None:
    """A matplotlib figure of :data:`FRAMES` frames of an episode, evenly spaced, each with its step; None, said, where nothing can draw."""
    from matplotlib.figure import Figure

    try:
        with evaluating(method):
            drawn = frames(method, data)
    except gym().error.DependencyNotInstalled as error:
        print(f"tlda: there is no film of the policy: {' '.join(str(error).split())}", file=sys.stderr)
        return None
    figure = Figure(figsize=(2.0 * FRAMES, 1.9), layout="constrained")
    for axes, number in zip(figure.subplots(1, FRAMES), np.linspace(0, len(drawn) - 1, FRAMES).astype(int), strict=True):
        axes.imshow(drawn[number])
        axes.set(xticks=[], yticks=[], title=f"step {number + 1}")
    return figure
