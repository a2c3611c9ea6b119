"""A frozen network that computes features, and the key under which the cache knows what it computes."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor, nn

from tlda.backbones import Backbone
from tlda.data.arrays import digest
from tlda.data.folding import folded
from tlda.errors import UserError
from tlda.nn import computes_in_bfloat16

FORMAT = "1"
"""Part of every key. Raise it when the way from a row to its feature changes."""

KEYS: dict[tuple[type, str], str] = {}
"""The keys of the networks that this process made, by class and options: a worker that lives long makes each once."""


class Extractor:
    """A frozen network, made when it is first needed, from a seed of its own: random weights are the same in every run.

    Args:
        make: makes the network, or is one.
        device: where it computes: in bfloat16 where the hardware does, and with the channels last.
    """

    def __init__(self, make: Callable[[], Backbone], device: torch.device) -> None:
        self.make, self.device = make, device
        self.options = _options(make)
        self.fast: nn.Module | None = None

    @cached_property
    def network(self) -> Backbone:
        """The network."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = self.make if isinstance(self.make, Backbone) else self.make()
        # What may be the user's own stays as it is.
        network = network if self.options else copy.deepcopy(network)
        return network.eval().requires_grad_(False).to(self.device).to(memory_format=torch.channels_last)

    @cached_property
    def key(self) -> str:
        """A hash that every change of a feature changes: of the network's weights, options and code, and of the precision."""
        if self.options is None:
            key = digest(_parts(self.network))
        else:
            cls, options = self.options
            known = cls, json.dumps(options) + _state(options)
            key = KEYS[known] = KEYS.get(known) or digest(_parts(self.network))
        return f"{FORMAT} {key} {self.dtype}"

    @property
    def dtype(self) -> torch.dtype:
        """The type that it computes in."""
        return torch.bfloat16 if computes_in_bfloat16(self.device) else torch.float32

    @property
    def batch_size(self) -> int:
        """The rows that it takes at a time: on a processor those whose maps stay in its caches."""
        return 16 if self.device.type == "cpu" else 256

    @property
    def name(self) -> str:
        """What it is called."""
        if self.options:
            cls, options = self.options
            return "-".join([cls.__name__, *([str(options["name"])] if "name" in options else [])])
        return type(self.network).__name__

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        """Features (n, d) in half precision of a batch of the data's rows.

        Raises:
            UserError: there is not one feature vector a row, or one is beyond half precision.
        """
        rows = len(x)
        x = x.to(self.device)
        x = x.float().div_(255.0) if x.dtype == torch.uint8 else x
        x = x.to(memory_format=torch.channels_last) if x.ndim == 4 else x
        self.fast = self.fast or folded(self.network, x[:1])
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            features: Tensor = self.fast(x).float()
        if features.ndim != 2 or len(features) != rows:
            raise UserError(f"{self.name} gives features {tuple(features.shape)} for {rows} rows: cached features need one vector a row")
        if not float(features.abs().max()) <= torch.finfo(torch.float16).max:
            raise UserError(f"features of {self.name} are beyond half precision, in which the cache keeps them: take another layer")
        return features.half().cpu()


def _options(make: Callable[[], Backbone]) -> tuple[type, dict[str, Any]] | None:
    """The class and the plain options that ``make`` is known to make a network from; None for any other function."""
    if isinstance(make, type):
        return make, {}
    if not isinstance(make, partial):
        return None
    by_parser = make.func.__module__.split(".")[0] == "jsonargparse"
    cls = next((part for part in make.args if isinstance(part, type)), None) if by_parser else make.func
    given: dict[Any, Any] = {} if by_parser else dict(enumerate(make.args))
    options = {**given, **make.keywords}
    return (cls, options) if isinstance(cls, type) and _plain(options) else None


def _plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _state(options: dict[str, Any]) -> str:
    """The state of the files that ``options`` name."""
    named = [Path(value).expanduser() for value in options.values() if isinstance(value, str) and value]
    files = [file for path in named if path.exists() for file in (path.rglob("*") if path.is_dir() else [path])]
    return " ".join(f"{file} {(state := file.stat()).st_size} {state.st_mtime_ns} {state.st_ctime_ns}" for file in files)


def _parts(network: nn.Module) -> Iterator[bytes | Tensor]:
    """All that decides what ``network`` computes."""
    for name, module in network.named_modules():
        cls = type(module)
        plain = {key: value for key, value in sorted(vars(module).items()) if key != "training" and _plain(value)}
        yield f"{name} {cls.__qualname__} {code_of(cls.__module__)} {json.dumps(plain)}\n".encode()
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        yield f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode()
        yield tensor.detach().cpu().contiguous().flatten().view(torch.uint8)


@cache
def code_of(name: str) -> str:
    """The version of the package of the module ``name``, or the hash of the module's file."""
    package = name.split(".")[0]
    version = getattr(sys.modules.get(package), "__version__", None)
    if version and package != "tlda":
        return str(version)
    file = getattr(sys.modules.get(name), "__file__", None)
    # What was typed into a notebook may be something else in the next process.
    return digest([Path(file).read_bytes()]) if file else uuid4().hex
