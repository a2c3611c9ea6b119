"""Transfer learning and domain adaptation, honestly measured.

The names below are imported when they are first used, so that ``import tlda`` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlda.backbones import Backbone
    from tlda.commands.export import export
    from tlda.commands.python import calibrate, fit, predict, test
    from tlda.config.build import build, load
    from tlda.data import DomainPair
    from tlda.losses import Loss
    from tlda.method import Method
    from tlda.tasks import Task

__version__ = "0.1.0"

_HOMES = {
    "calibrate": "tlda.commands.python",
    "fit": "tlda.commands.python",
    "test": "tlda.commands.python",
    "predict": "tlda.commands.python",
    "export": "tlda.commands.export",
    "load": "tlda.config.build",
    "build": "tlda.config.build",
    "Method": "tlda.method",
    "Loss": "tlda.losses",
    "DomainPair": "tlda.data",
    "Backbone": "tlda.backbones",
    "Task": "tlda.tasks",
}

__all__ = [
    "Backbone",
    "DomainPair",
    "Loss",
    "Method",
    "Task",
    "__version__",
    "build",
    "calibrate",
    "export",
    "fit",
    "load",
    "predict",
    "test",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tlda' has no attribute '{name}'")
    globals()[name] = found = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return [*__all__]
