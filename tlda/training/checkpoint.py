"""Checkpoints: plain data and tensors only, that say which method and classes they hold."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from tlda.backbones.weights import PACKAGE, SUFFIXES
from tlda.data.seeds import run_seed
from tlda.errors import UserError
from tlda.finetuning.adapters import is_adapter
from tlda.options.recorded import NotPlainError, described
from tlda.tasks import Task
from tlda.training.lightning import data_of
from tlda.training.named import find
from tlda.training.trained import Trained

KEY = "tlda"


def describe(method: Trained, checkpoint: dict[str, Any]) -> None:
    """Write into ``checkpoint`` what it holds: method, task, seed, and the plain configuration that they were made from."""
    data = None if method._trainer is None else data_of(method._trainer)
    made = method.recipe or parts_of(method, data)
    learnt = {} if data is None or data.fitted is None else {"fitted": data.fitted}
    checkpoint[KEY] = {"method": type(method).__name__, "task": method.task.description(), "seed": run_seed(), **learnt, **made}


def parts_of(method: object, data: object) -> dict[str, Any]:
    """The plain configuration of a ``method`` and its ``data`` that were made in Python; of what has none, ``unknown`` says why."""
    found: dict[str, Any] = {"unknown": {}}
    for name, part in (("model", method), ("data", data)):
        try:
            found[name] = described(part)
        except NotPlainError as error:
            found["unknown"][name] = str(error)
    return {name: value for name, value in found.items() if value}


def task_from(description: dict[str, Any]) -> Task:
    """The task that a checkpoint describes (:meth:`tlda.tasks.Task.description`).

    Raises:
        UserError: its class cannot be imported, or is no task.
    """
    module, _, name = str(description["class_path"]).rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"the checkpoint was trained for '{description['class_path']}', which cannot be imported: run where it is"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Task)):
        raise UserError(f"the checkpoint names '{description['class_path']}' as its task, which is none: name another checkpoint")
    try:
        task: Task = cls(**{option: _made(value) for option, value in description["init_args"].items()})
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise UserError(f"the checkpoint's task, {name}, cannot be made ({error}): it is damaged; name another checkpoint") from error
    if sources := description.get("sources"):
        task.sources = [str(source) for source in sources]
    return task


def _made(value: Any) -> Any:
    if isinstance(value, dict):
        return task_from(value) if value.keys() == {"class_path", "init_args"} else {key: _made(item) for key, item in value.items()}
    return value


def without_files(model: dict[str, Any]) -> dict[str, Any]:
    """The configuration ``model`` of a network whose weights are in a checkpoint: those that it began with are not read again.

    Read again are those that say more than weights: torchvision's by name, which decide layers; any under Co-Tuning, whose classifier
    comes with them; and the folder of a text encoder.
    """
    options = {**model["init_args"], "init_from": None}
    backbone, losses = options.get("backbone") or {}, options.get("plus")
    added = losses if isinstance(losses, list) else []
    is_tuned = any(isinstance(loss, dict) and str(loss.get("class_path")).endswith(".CoTuning") for loss in added)
    if is_class(backbone) and _are_only_weights(backbone) and not is_tuned:
        options["backbone"] = {**backbone, "init_args": {**backbone["init_args"], "weights": None}}
    return {**model, "init_args": options}


def _are_only_weights(backbone: dict[str, Any]) -> bool:
    weights = str(backbone["init_args"].get("weights") or "")
    file = weights.startswith(PACKAGE) or weights.lower().endswith(SUFFIXES)
    return {"Timm": True, "Dense": True, "Torchvision": file}.get(backbone["class_path"].rpartition(".")[2], False)


def refuse_other(method: Trained, checkpoint: dict[str, Any]) -> None:
    """Raise :class:`UserError` where ``checkpoint`` holds another method, another task, or a network of other shapes."""
    found = checkpoint.get(KEY)
    if found is None or "task" not in found:
        raise UserError("the checkpoint was not written by this version of tlda; start from its weights with --model.init_from instead")
    if method._trainer is not None and data_of(method.trainer) is not None:
        method.task.refuse(task_from(found["task"]))
    if found["method"] != type(method).__name__:
        raise UserError(
            f"the checkpoint holds {found['method']}, the run {type(method).__name__}: name the same method, "
            "or start from its weights with --model.init_from"
        )
    weights = checkpoint["state_dict"]
    for name, parameter in method.named_parameters():
        if (name not in weights and method.strict_loading) or (name in weights and weights[name].shape != parameter.shape):
            state = str(tuple(weights[name].shape)) if name in weights else "missing"
            raise UserError(
                f"the checkpoint holds another network: '{name}' is {state} in it, not {tuple(parameter.shape)}; give the options of the "
                "model that it was trained with"
            )


def read(path: str | Path) -> dict[str, Any]:
    """The contents of the checkpoint at ``path``, or a :class:`UserError` that says why it cannot be read."""
    path = find(path)
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = type(error).__name__
        raise UserError(f"{path} is not a readable checkpoint ({reason}): it is cut short or something else; name another one") from error
    if not isinstance(found, dict) or "state_dict" not in found:
        raise UserError(f"{path} is not a checkpoint: it has no state_dict; name one that `tlda fit` wrote")
    return found


def recipe(path: str | Path, trusted: Iterable[str] = ()) -> dict[str, Any]:
    """What the checkpoint at ``path``, which must be one of this project's, says that it was made from.

    Args:
        path: the checkpoint, or a run's folder.
        trusted: class paths that the checkpoint may name, and with them others of their modules, besides those that are imported already.
    """
    found = read(path)
    if KEY not in found:
        raise UserError(f"{path} was not written by `tlda fit`: start from its weights with --model.init_from instead of --ckpt_path")
    return held(path, found, trusted)


def held(path: str | Path, found: dict[str, Any], trusted: Iterable[str] = ()) -> dict[str, Any]:
    """What the contents ``found`` of the checkpoint at ``path`` say that they were made from; nothing where somebody else wrote them.

    Raises:
        UserError: it is not of the form that a run writes, or names code as :func:`recipe` says.
    """
    made = formed(path, found)
    refuse_foreign(path, made, trusted)
    return made


def formed(path: str | Path, found: dict[str, Any]) -> dict[str, Any]:
    """What :func:`held` gives, to be read alone: code that it names must not be run before :func:`refuse_foreign` lets it.

    Raises:
        UserError: it is not of the form that a run writes.
    """
    made: Any = found.get(KEY, {})
    whole = isinstance(made, dict) and all(is_class(made[part]) for part in ("model", "data", "task") if part in made)
    if not whole or not all(isinstance(made.get(part, {}), dict) for part in ("trainer", "unknown")):
        raise UserError(f"{path} does not say which data it was trained on, or what it holds, as `tlda fit` does: name another checkpoint")
    return dict(made)


def is_class(value: object) -> bool:
    """Whether ``value`` names a class and its options."""
    return isinstance(value, dict) and isinstance(value.get("class_path"), str) and isinstance(value.get("init_args"), dict)


def refuse_foreign(path: str | Path, made: object, trusted: Iterable[str] = ()) -> None:
    """Raise :class:`UserError` where plain data of the checkpoint at ``path`` name a class of a module that nobody else has named."""
    known = {"tlda", *sys.modules, *(name.rpartition(".")[0] for name in trusted)}
    for name in _class_paths(made):
        module = name.rpartition(".")[0]
        if module and module.split(".")[0] != "tlda" and module not in known:
            raise UserError(
                f"{path} names {name}, which is not tlda's, and a checkpoint does not choose what code runs: if you know it, name it in "
                "the command too, as by -c RUN/config.yaml, or import it first"
            )


def _class_paths(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from [value["class_path"]] if isinstance(value.get("class_path"), str) else []
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _class_paths(item)


def load_weights(method: Trained, path: str) -> set[str]:
    """Load backbone, bottleneck and head of the checkpoint at ``path`` into the ``starting`` network of ``method``; return which it had.

    Adapters that ``method`` has and the checkpoint has not stay as they are. Bottleneck and head are made anew, which is said, where the
    checkpoint has none that fits: it is of other classes, of another width, or was pre-trained without them.

    Raises:
        UserError: the checkpoint has another backbone, or adapters that the network has not, without which its weights are others.
    """
    checkpoint, network = read(path), method.starting
    found = {key.removeprefix("network."): value for key, value in checkpoint["state_dict"].items()}
    names = {key: key if key in found else method.tuning.plain_key(key) for key in network.state_dict()}
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    weights = {key: found[name] for key, name in names.items() if name in found}
    has_anyway = tuple(f"backbone.{name}" for name in network.backbone.kept if not any(key.startswith(f"backbone.{name}") for key in found))
    names = {key: name for key, name in names.items() if not key.startswith(has_anyway)}
    unfit = {key for key, name in names.items() if name is not None and (name not in found or found[name].shape != shapes[key])}
    anew = sorted({key.split(".")[0] for key in unfit} - {"backbone"})
    for key in sorted(found):
        if is_adapter(key) and shapes.get(key) != found[key].shape:
            raise UserError(f"{path} has adapters that this network has not, such as '{key}': set --model.tuning as it was trained")
    for key in sorted(unfit):
        if key.startswith("backbone."):
            state = "missing" if names[key] not in found else f"{tuple(found[names[key]].shape)}, not {tuple(shapes[key])}"
            raise UserError(f"{path} does not fit this network: '{names[key]}' is {state}; set --model.backbone as it was trained")
    if "head" not in anew and len(anew) == 1:
        anew.append("head")  # a head reads the features of its own bottleneck
    if anew:
        print(f"tlda: {path} has other classes, another width or no head: {' and '.join(sorted(anew))} made anew")
    network.load_state_dict({key: value for key, value in weights.items() if key.split(".")[0] not in anew}, strict=False)
    return {"backbone", "bottleneck", "head"} - set(anew)


def forget(checkpoint: dict[str, Any], *parts: str) -> None:
    """Take the weights whose names begin with one of ``parts`` out of a ``checkpoint``."""
    checkpoint["state_dict"] = {name: value for name, value in checkpoint["state_dict"].items() if not name.startswith(parts)}
