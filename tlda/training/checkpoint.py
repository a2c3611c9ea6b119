"""Checkpoints: plain data and tensors only, that say which method and classes they hold."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tlda.backbones.weights import PACKAGE, SUFFIXES
from tlda.data.seeds import run_seed
from tlda.errors import UserError

if TYPE_CHECKING:
    from tlda.method import Method

KEY = "tlda"


def describe(method: Method, checkpoint: dict[str, Any]) -> None:
    """Write into ``checkpoint`` what it holds: method, classes, seed, and the plain configuration that they were made from."""
    holds = {"method": type(method).__name__, "num_classes": method.num_classes, "untrained": list(method.untrained)}
    seed = run_seed()
    checkpoint[KEY] = {**holds, "class_names": _class_names(method), "seed": seed, **method.recipe}


def _class_names(method: Method) -> list[str] | None:
    """The names of the classes, where the trainer was given data that name them."""
    data: Any = getattr(method._trainer, "datamodule", None)
    return None if data is None else [str(name) for name in data.class_names]


def load(path: str | Path) -> Method:
    """The method of the checkpoint at ``path``, built from the checkpoint alone and ready to use, in evaluation mode."""
    from jsonargparse import ArgumentParser

    from tlda.method import Method

    found = read(path)
    if "model" not in found.get(KEY, {}):
        raise UserError(f"{path} does not say how its network was made: build the method and use its load_from_checkpoint")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Method, "model")
    model = without_files(found[KEY]["model"])
    model["init_args"]["num_classes"] = found[KEY]["num_classes"]
    method: Method = parser.instantiate_classes(parser.parse_object({"model": model})).model
    method.load_state_dict(found["state_dict"])
    return method.eval()


def without_files(model: dict[str, Any]) -> dict[str, Any]:
    """The configuration ``model`` of a network whose weights are in a checkpoint: those that it began with are not read again.

    Read again are those that say more than weights: torchvision's by name, which decide layers; any under Co-Tuning, whose classifier
    comes with them; and the folder of a text encoder.
    """
    options = {**model["init_args"], "init_from": None}
    backbone, losses = options.get("backbone") or {}, options.get("plus") or ()
    if _are_only_weights(backbone) and not any(loss["class_path"] == "tlda.losses.CoTuning" for loss in losses):
        options["backbone"] = {**backbone, "init_args": {**backbone["init_args"], "weights": None}}
    return {**model, "init_args": options}


def _are_only_weights(backbone: dict[str, Any]) -> bool:
    weights = (backbone.get("init_args") or {}).get("weights") or ""
    file = weights.startswith(PACKAGE) or weights.lower().endswith(SUFFIXES)
    return {"tlda.backbones.Timm": True, "tlda.backbones.Torchvision": file}.get(backbone.get("class_path", ""), False)


def refuse_other(method: Method, checkpoint: dict[str, Any]) -> None:
    """Raise :class:`UserError` where ``checkpoint`` holds another method, other classes, or a network of other shapes."""
    found = checkpoint.get(KEY)
    if found is None:
        raise UserError("the checkpoint was not written by tlda; start from its weights with --model.init_from instead")
    if found["num_classes"] != method.num_classes:
        raise UserError(f"the checkpoint has {found['num_classes']} classes, the data {method.num_classes}: use the data it was trained on")
    for number, (name, own) in enumerate(zip(found.get("class_names") or (), _class_names(method) or (), strict=False)):
        if name != own:
            raise UserError(
                f"class {number} is '{name}' in the checkpoint and '{own}' in the data: use the data it was trained on, with its classes "
                "in the same order"
            )
    if found["method"] != type(method).__name__:
        raise UserError(
            f"the checkpoint holds {found['method']}, the run {type(method).__name__}: name the same method, "
            "or start from its weights with --model.init_from"
        )
    weights = checkpoint["state_dict"]
    for name, parameter in method.named_parameters():
        if name not in weights or weights[name].shape != parameter.shape:
            state = str(tuple(weights[name].shape)) if name in weights else "missing"
            raise UserError(
                f"the checkpoint holds another network: '{name}' is {state} in it, not {tuple(parameter.shape)}; give the options of the "
                "model that it was trained with"
            )


def find(path: str | Path) -> Path:
    """The file of the checkpoint ``path``, which may be the folder of a run, whose last one it is then.

    Raises:
        UserError: there is none, or ``path`` is an address.
    """
    if "://" in str(path):
        raise UserError(f"a checkpoint is a file of this machine, and {path} is an address: fetch it first, from a place that you trust")
    last = Path(path) / "checkpoints" / "last.ckpt"
    if Path(path).is_dir() and not last.is_file():
        raise UserError(f"the folder {path} has no checkpoints/last.ckpt: name the folder of a run, or a checkpoint itself")
    file = last if last.is_file() else Path(path)
    if not file.is_file():
        raise UserError(f"there is no checkpoint at {path}: a run writes RUN/checkpoints/last.ckpt, and says where RUN is")
    return file


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
    made: dict[str, Any] = found[KEY]
    refuse_foreign(path, made, trusted)
    return made


def refuse_foreign(path: str | Path, made: Any, trusted: Iterable[str] = ()) -> None:
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


def load_weights(method: Method, path: str) -> None:
    """Load backbone, bottleneck and head of the checkpoint at ``path`` into ``method``, strictly.

    Adapters that ``method`` has and the checkpoint has not stay as they are, and so does what the checkpoint's run did not train.
    """
    checkpoint, shapes = read(path), method.state_dict()
    found, untrained = checkpoint["state_dict"], checkpoint.get(KEY, {}).get("untrained", ())
    parts = {"backbone", "bottleneck", "head"} - set(untrained)
    wanted = [key for key in sorted(shapes) if key.split(".")[0] in parts]
    names = {key: key if key in found else method.tuning.plain_key(key) for key in wanted}
    weights = {}
    for key, name in names.items():
        if name is None:
            continue
        if name not in found or found[name].shape != shapes[key].shape:
            state = "missing" if name not in found else f"{tuple(found[name].shape)}, not {tuple(shapes[key].shape)}"
            raise UserError(f"{path} does not fit this network: '{name}' is {state}; set --model.backbone as it was trained")
        weights[key] = found[name]
    method.load_state_dict(weights, strict=False)
