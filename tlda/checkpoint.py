"""Checkpoints: plain data and tensors only, that say which method and classes they hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tlda.errors import UserError

if TYPE_CHECKING:
    from tlda.method import Method

KEY = "tlda"


def describe(method: Method, checkpoint: dict[str, Any]) -> None:
    """Write into ``checkpoint`` what it holds: method, classes, and the plain configuration that they were made from."""
    checkpoint[KEY] = {"method": type(method).__name__, "num_classes": method.num_classes, **method.recipe}


def load(path: str | Path) -> Method:
    """The method of the checkpoint at ``path``, built from the checkpoint alone and ready to use, in evaluation mode."""
    from jsonargparse import ArgumentParser

    from tlda.method import Method

    found = read(path)
    if "model" not in found.get(KEY, {}):
        raise UserError(f"{path} does not say how its network was made: build the method and use its load_from_checkpoint")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Method, "model")
    model = found[KEY]["model"]
    model["init_args"] |= {"num_classes": found[KEY]["num_classes"], "init_from": None}
    method: Method = parser.instantiate_classes(parser.parse_object({"model": model})).model
    method.load_state_dict(found["state_dict"])
    return method.eval()


def refuse_other(method: Method, checkpoint: dict[str, Any]) -> None:
    """Raise :class:`UserError` where ``checkpoint`` holds another method or another number of classes."""
    found = checkpoint.get(KEY)
    if found is None:
        raise UserError("the checkpoint was not written by tlda; start from its weights with --model.init_from instead")
    if found["num_classes"] != method.num_classes:
        raise UserError(f"the checkpoint has {found['num_classes']} classes, the data {method.num_classes}: use the data it was trained on")
    if found["method"] != type(method).__name__:
        raise UserError(
            f"the checkpoint holds {found['method']}, the run {type(method).__name__}: name the same method, "
            "or start from its weights with --model.init_from"
        )


def read(path: str | Path) -> dict[str, Any]:
    """The contents of the checkpoint at ``path``, or a :class:`UserError` that says why it cannot be read."""
    if not Path(path).is_file():
        raise UserError(f"there is no checkpoint at {path}: a run writes RUN/checkpoints/last.ckpt, and says where RUN is")
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = type(error).__name__
        raise UserError(f"{path} is not a readable checkpoint ({reason}): it is cut short or something else; name another one") from error
    if not isinstance(found, dict) or "state_dict" not in found:
        raise UserError(f"{path} is not a checkpoint: it has no state_dict; name one that `tlda fit` wrote")
    return found


def recipe(path: str | Path) -> dict[str, Any]:
    """What the checkpoint at ``path``, which must be one of this project's, says that it was made from."""
    found = read(path)
    if KEY not in found:
        raise UserError(f"{path} was not written by `tlda fit`: start from its weights with --model.init_from instead of --ckpt_path")
    made: dict[str, Any] = found[KEY]
    return made


def load_weights(method: Method, path: str) -> None:
    """Load backbone, bottleneck and head of the checkpoint at ``path`` into ``method``, strictly."""
    wanted = {key for key in method.state_dict() if key.split(".")[0] in ("backbone", "bottleneck", "head")}
    found = read(path)["state_dict"]
    shapes = method.state_dict()
    for key in sorted(wanted):
        if key not in found or found[key].shape != shapes[key].shape:
            state = "missing" if key not in found else f"{tuple(found[key].shape)}, not {tuple(shapes[key].shape)}"
            raise UserError(f"{path} does not fit this network: '{key}' is {state}; set --model.backbone as it was trained")
    method.load_state_dict({key: found[key] for key in wanted}, strict=False)
