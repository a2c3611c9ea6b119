"""Film strips of a policy."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from tlda.backbones import PolicyMLP
from tlda.rl import Physics, Policy
from tlda.rl.film import FRAMES, film_strip, frames
from tlda.tasks import Control


def policy() -> Policy:
    torch.manual_seed(0)
    return Policy(backbone=PolicyMLP(4, (4,)), task=Control(["0", "1"]))


def test_a_strip_shows_an_episode_in_the_targets_physics() -> None:
    pytest.importorskip("pygame")
    with torch.no_grad():
        short, long = (frames(policy(), Physics(target={"length": length}, seed=0)) for length in (0.3, [0.5, 1.5]))
    assert 5 < len(short) < 200
    assert short[0].shape == (400, 600, 3)
    assert (long[0] < 255).sum() > (short[0] < 255).sum()  # a longer pole covers more
    figure = film_strip(policy(), Physics(seed=0))
    assert figure is not None
    assert len(figure.axes) == FRAMES
    assert figure.axes[0].get_title() == "step 1"
    assert np.asarray(figure.axes[-1].images[0].get_array()).shape == (400, 600, 3)


def test_without_what_draws_there_is_a_sentence_and_no_film(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    assert film_strip(policy(), Physics(seed=0)) is None
    assert "tlda: there is no film of the policy: pygame is not installed" in capsys.readouterr().err
