"""Environments by name, and their physics as options."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from tlda.errors import Note, UserError
from tlda.rl.environments import described, make, set_physics, single, warn_of_idle
from tlda.rl.physics import Physics

DRAWS = np.random.default_rng(0)


def numbers(value: Any) -> list[float]:
    return np.asarray(value, dtype=float).ravel().tolist()


def test_what_follows_from_an_attribute_follows_it() -> None:
    envs: Any = make("CartPole-v1", 2, {"length": 1.5})
    set_physics(envs, {"length": 1.5, "masspole": 0.3}, DRAWS)
    assert numbers(envs.polemass_length) == pytest.approx([0.45] * 2)
    assert numbers(envs.total_mass) == pytest.approx([1.3] * 2)


def test_vector_and_single_environments_move_alike() -> None:
    values = {"length": 1.5, "masspole": 0.3, "force_mag": 4.0}
    envs: Any = make("CartPole-v1", 1, values)
    set_physics(envs, values, DRAWS)
    x = envs.reset(seed=3)[0]
    one = single("CartPole-v1")
    one.reset(seed=0)
    for name, value in {**values, "polemass_length": 0.45, "total_mass": 1.3}.items():
        setattr(one.unwrapped, name, value)
    one.unwrapped.state = envs.state[:, 0].copy()
    for action in (0, 1, 1, 0, 1):
        x = envs.step(np.array([action]))[0]
        assert one.step(action)[0] == pytest.approx(x[0], rel=1e-5)


def test_each_environment_draws_of_a_range() -> None:
    envs: Any = make("CartPole-v1", 8, {})
    set_physics(envs, {"length": [0.4, 0.6]}, DRAWS)
    drawn = numbers(envs.length)
    assert len(set(drawn)) == 8
    assert all(0.4 <= value <= 0.6 for value in drawn)
    assert numbers(envs.polemass_length) == pytest.approx([0.1 * value for value in drawn])
    envs.reset(seed=0)
    assert envs.step(np.zeros(8, dtype=int))[0].shape == (8, 4)


def test_an_environment_without_a_vector_form_is_played_one_by_one() -> None:
    envs: Any = make("Acrobot-v1", 2, {"LINK_MASS_2": [1.0, 2.0]})
    set_physics(envs, {"LINK_MASS_2": [1.0, 2.0]}, DRAWS)
    masses = [env.unwrapped.LINK_MASS_2 for env in envs.envs]
    assert masses[0] != masses[1]
    assert all(1.0 <= mass <= 2.0 for mass in masses)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"environment": "CartPol-v1"}, r"--data\.environment is 'CartPol-v1'.*did you mean 'CartPole-v1'"),
        ({"target": {"lenght": 1.5}}, r"--data\.target sets 'lenght'.*did you mean 'length'"),
        ({"target": {"total_mass": 2.0}}, "'total_mass', which follows from masspole and masscart"),
        ({"randomised": {"length": [2.0, 1.0]}}, r"--data\.randomised\.length is \[2\.0, 1\.0\]: the lower end of a range comes first"),
        ({"source": {"length": [0.1, 0.2, 0.3]}}, "two ends of a range"),
        ({"source": {"length": float("nan")}}, "it is a number"),
        ({"environment": "Pendulum-v1"}, "take a Discrete one"),
        ({"rollouts": 0}, r"--data\.rollouts is 0: it must be at least 1"),
    ],
)
def test_a_wrong_option_is_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Physics(**options)


def test_without_gymnasium_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(UserError, match=r"pip install 'tlda\[rl\]'"):
        Physics()


def test_physics_have_a_name() -> None:
    assert described({"masspole": 0.3, "length": [0.5, 1.5]}) == "length0.5-1.5_masspole0.3"
    assert described({}) == "as_is"


def test_an_attribute_that_changes_nothing_is_said(recwarn: pytest.WarningsRecorder) -> None:
    warn_of_idle("CartPole-v1", "target", {"length": [0.3, 0.6], "force_mag": 5.0, "theta_threshold_radians": 0.1, "screen_width": 600})
    warn_of_idle("Acrobot-v1", "target", {"LINK_MASS_2": 1.5})
    assert not recwarn.list
    with pytest.warns(Note, match=r"--data\.target sets 'LINK_LENGTH_2' to 2, which changed nothing in 200 random steps"):
        warn_of_idle("Acrobot-v1", "target", {"LINK_LENGTH_2": 2.0})
