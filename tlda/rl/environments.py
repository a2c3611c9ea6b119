"""Environments of gymnasium whose physics are options: made by name, many at a time, with attributes set."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlda.errors import UserError, lacking, near, warn

if TYPE_CHECKING:
    from types import ModuleType

    from gymnasium import Env
    from gymnasium.vector import VectorEnv

Values = Mapping[str, float | list[float]]
"""The physics of an environment: attributes by name, each a number, or the two ends of a range."""

TRIED = 200
"""The random steps in which an attribute must show."""

DERIVED: dict[str, tuple[Callable[[Any], float], tuple[str, ...]]] = {
    "total_mass": (lambda env: env.masspole + env.masscart, ("masspole", "masscart")),
    "polemass_length": (lambda env: env.masspole * env.length, ("masspole", "length")),
}
"""Attributes that an environment computes once from others, which change under it: how, and from which."""


def gym() -> ModuleType:
    """The module ``gymnasium``.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("gymnasium")
    except ImportError as error:
        raise lacking("reinforcement learning", "gymnasium", "rl") from error


def single(name: str, **options: str) -> Env[Any, Any]:
    """One environment called ``name``, made with ``options`` of its own.

    Raises:
        UserError: there is none, a package that it needs is missing, it has no limit of its length, or its actions or observations are of
            another kind than a policy takes.
    """
    gymnasium = gym()
    if ":" not in name and name not in gymnasium.registry:
        raise UserError(f"--data.environment is '{name}', which gymnasium does not have{near(name, gymnasium.registry)}")
    try:
        made = gymnasium.make(name, disable_env_checker=True, **options)
    except (gymnasium.error.Error, ImportError) as error:
        raise UserError(f"--data.environment {name} cannot be made: {' '.join(str(error).split())}") from error
    if not isinstance(made.action_space, gymnasium.spaces.Discrete) or made.action_space.start != 0:
        raise UserError(
            f"--data.environment {name} has actions {made.action_space}, and a policy chooses one of a few: take a Discrete one, from 0"
        )
    if not isinstance(made.observation_space, gymnasium.spaces.Box) or len(made.observation_space.shape) != 1:
        raise UserError(f"--data.environment {name} has observations {made.observation_space}, and a policy reads rows of numbers")
    if made.spec.max_episode_steps is None:
        raise UserError(f"--data.environment {name} has episodes without end, whose return cannot be measured: register it with a limit")
    return made


def attributes(env: Env[Any, Any]) -> list[str]:
    """The names of the attributes of ``env`` that are numbers, without those that follow from others."""
    found = (name for name in dir(env.unwrapped) if not name.startswith("_") and name not in DERIVED)
    return [name for name in found if isinstance(value := getattr(env.unwrapped, name), Real) and not isinstance(value, bool)]


def require_physics(env: Env[Any, Any], option: str, values: Values) -> None:
    """Raise :class:`UserError` where ``values``, given as ``option``, name no attribute of ``env``, or a range that is none."""
    known = attributes(env)
    for name, value in values.items():
        if name in DERIVED:
            raise UserError(f"--data.{option} sets '{name}', which follows from {' and '.join(DERIVED[name][1])}: set these")
        if name not in known:
            raise UserError(f"--data.{option} sets '{name}', which {env.spec.id} does not have as a number{near(name, known)}")
        ends = value if isinstance(value, list) else [value]
        if len(ends) not in (1, 2) or not all(np.isfinite(ends)):
            raise UserError(f"--data.{option}.{name} is {value}: it is a number, or the two ends of a range, as [0.5, 1.5]")
        if len(ends) == 2 and not ends[0] < ends[1]:
            raise UserError(f"--data.{option}.{name} is {value}: the lower end of a range comes first")


def warn_of_idle(name: str, option: str, values: Values) -> None:
    """Warn of those ``values``, given as ``option``, that change nothing in :data:`TRIED` random steps of the environment ``name``.

    An environment may read an attribute once, as it is made, or only to draw.
    """
    usual = _trace(name, {})
    for key, value in values.items():
        end = value[-1] if isinstance(value, list) else value
        if end != getattr(single(name).unwrapped, key) and _trace(name, {key: end}) == usual:
            warn(f"--data.{option} sets '{key}' to {end:g}, which changed nothing in {TRIED} random steps: {name} may not read it")


def _trace(name: str, values: Mapping[str, float]) -> list[list[float]]:
    """What random actions lead to: observation, reward and end of each step."""
    env, draws, found = single(name), np.random.default_rng(0), []
    set_on(env.unwrapped, values)
    env.reset(seed=0)
    for _ in range(TRIED):
        x, reward, terminated, truncated, _ = env.step(int(draws.integers(env.action_space.n)))
        found.append([*np.asarray(x, dtype=float).tolist(), float(reward), float(terminated)])
        if terminated or truncated:
            env.reset()
    env.close()
    return found


def make(name: str, count: int, values: Values) -> VectorEnv[Any, Any, Any]:
    """``count`` environments called ``name``, in this process: by gymnasium's own vector form where it has what ``values`` set."""
    spec = gym().spec(name)
    if spec.vector_entry_point is not None:
        made: VectorEnv[Any, Any, Any] = gym().make_vec(name, num_envs=count, vectorization_mode="vector_entry_point")
        if all(hasattr(made.unwrapped, key) for key in values):
            return made
    one_by_one: VectorEnv[Any, Any, Any] = gym().make_vec(name, num_envs=count, vectorization_mode="sync")
    return one_by_one


def set_physics(envs: VectorEnv[Any, Any, Any], values: Values, generator: np.random.Generator) -> None:
    """Give the ``envs`` of :func:`make` their physics: each environment draws its own numbers from ranges."""
    drawn = {name: _drawn(value, envs.num_envs, generator) for name, value in values.items()}
    if not hasattr(envs, "envs"):
        set_on(envs.unwrapped, drawn)
    for number, env in enumerate(getattr(envs, "envs", ())):
        set_on(env.unwrapped, {name: float(value[number]) for name, value in drawn.items()})


def _drawn(value: float | list[float], count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    low, high = (value[0], value[-1]) if isinstance(value, list) else (value, value)
    return generator.uniform(low, high, count)


def set_on(env: object, values: Mapping[str, Any]) -> None:
    """Set attributes of an environment without wrappers, and those that follow from them."""
    for name, value in values.items():
        setattr(env, name, value)
    for name, (derive, parts) in DERIVED.items():
        if hasattr(env, name) and all(hasattr(env, part) for part in parts):
            setattr(env, name, derive(env))


def described(values: Values) -> str:
    """The physics as a part of a file's name, such as ``length1.5_masspole0.3``; ``as_is`` where nothing is set."""
    return "_".join(_texts(values)) or "as_is"


def _texts(values: Values) -> Iterator[str]:
    for name, value in sorted(values.items()):
        ends: Iterable[float] = value if isinstance(value, list) else [value]
        yield name + "-".join(f"{end:g}" for end in ends)
