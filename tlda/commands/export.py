"""``tlda export``: the network of a checkpoint as ONNX, or as a program of ``torch.export``, which need no tlda to run."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from tlda.batch import Inputs
from tlda.config.build import load
from tlda.errors import Arguments, UserError, lacking, positive
from tlda.method import Method
from tlda.network import Network
from tlda.training import checkpoint
from tlda.writing import require_writable, write_bytes

OPSET = 18
"""The ONNX opset of an export: the one that PyTorch's exporter writes natively."""

LARGEST = 2**31 - 2**24
"""The most bytes of weights within one ONNX file; those of a larger network are beside it, in FILE.data."""

KINDS = {".onnx": "ONNX", ".pt2": "torch.export"}


def command(args: list[str]) -> None:
    """Run the command ``tlda export`` with ``args``."""
    parser = Arguments(
        prog="tlda export",
        description="Write the network of a checkpoint, with its normalisation, as ONNX (.onnx) or as a program of torch.export (.pt2). "
        "Its input is what the network saw in training: images in 0..1, standardised columns, or token ids with -1 after the end.",
    )
    parser.add_argument("--ckpt_path", required=True, type=Path, metavar="RUN", help="the folder of a run, or a checkpoint")
    parser.add_argument("--output", default=Path("model.onnx"), type=Path, metavar="FILE", help="the .onnx or .pt2 (default: model.onnx)")
    parser.add_argument("--size", type=positive, help="the height and width of images, or a text's tokens (default: as in training)")
    options = parser.parse_args(args)
    print(f"tlda: wrote {options.output}: {export(options.ckpt_path, options.output, options.size)}")


def export(method: Method | str | Path, path: str | Path, size: int | None = None) -> str:
    """Write the network of ``method`` to ``path``, and return a description of its inputs and outputs.

    The batch may have any size, and texts any length that the network takes. The outputs are ``features`` (n, d) and ``logits``
    (n, classes) in evaluation mode; the names of the classes are in the file's metadata, as JSON under ``classes``.

    Args:
        method: the method, a checkpoint, or the folder of a run.
        path: the file, ``.onnx`` (opset :data:`OPSET`) or ``.pt2`` (``torch.export.load``).
        size: the height and width of images, or the tokens of the text that is traced; by default as in training.

    Raises:
        UserError: another ending; the method answers by more than its network; the network cannot be traced; onnx is missing.
    """
    place, loaded = Path(path), method if isinstance(method, Method) else load(method)
    if place.suffix not in KINDS:
        raise UserError(f"--output is {place}: its ending says what is written, {' or '.join(f'{e} ({k})' for e, k in KINDS.items())}")
    _require_exportable(loaded)
    require_writable(place.parent, "--output")
    recipe = loaded.recipe if isinstance(method, Method) else checkpoint.recipe(method)
    example = loaded.backbone.example(size or _size(recipe.get("data")))
    program = traced(loaded.network, example)
    classes = json.dumps(list(loaded.task.outputs), ensure_ascii=False)
    if place.suffix == ".onnx":
        _write_onnx(program, place, classes)
    else:
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={"classes": classes})
        write_bytes(place, file.getvalue())
    return _described(program, place)


class Plain(nn.Module):
    """A network whose output is a pair of tensors, features and logits, without a type of tlda's."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Inputs) -> tuple[Tensor, Tensor]:
        features, logits = self.network(x)
        return features, logits


def traced(network: Network, example: Tensor) -> ExportedProgram:
    """The program of ``network`` in evaluation mode for inputs as ``example``, of any number; texts may have any length too."""
    axes: dict[int, Any] = {0: Dim("batch", min=1)}
    if not example.is_floating_point():
        axes[1] = Dim("length", min=1, max=getattr(network.backbone, "limit", None) or 2**20)
    try:
        with torch.no_grad():
            return torch.export.export(Plain(network.copied().cpu()), (example,), dynamic_shapes=(axes,), strict=False)
    except UserError:
        raise
    except Exception as error:  # of any kind: whatever a network of one's own does that cannot be traced
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"the network cannot be traced for inputs {tuple(example.shape)} ({reason}): name their --size, or use tlda.load(RUN).network"
        ) from error


def _require_exportable(method: Method) -> None:
    name = type(method).__name__
    if type(method).answer is not Method.answer:
        raise UserError(f"{name} answers by more than its network, so that the network alone would answer otherwise: use tlda.predict")
    if not method.task.one_row:
        raise UserError(f"the task {type(method.task).__name__} has several rows per text, which no export has: use tlda.predict")


def _size(data: Mapping[str, Any] | None) -> int | None:
    """The ``size`` of images that a configuration of data names, its own or that of the data within."""
    options: dict[str, Any] = (data or {}).get("init_args") or {}
    size = options.get("size")
    return size if isinstance(size, int) else _size(options["data"]) if isinstance(options.get("data"), Mapping) else None


def _write_onnx(program: ExportedProgram, path: Path, classes: str) -> None:
    how: dict[str, Any] = {"input_names": ["x"], "output_names": ["features", "logits"], "opset_version": OPSET}
    try:
        converted = torch.onnx.export(program, dynamo=True, verbose=False, **how)
    except ImportError as error:
        raise lacking("ONNX", "onnxscript", "onnx") from error
    assert converted is not None
    converted.model.metadata_props["classes"] = classes
    if sum(weight.nbytes for weight in program.state_dict.values()) > LARGEST:
        converted.save(path, external_data=True)
    else:
        write_bytes(path, converted.model_proto.SerializeToString())


def _described(program: ExportedProgram, path: Path) -> str:
    """The kind of the file at ``path``, and the shapes of what ``program`` takes and gives."""
    nodes = {node.name: node for node in program.graph.nodes}
    (x,) = (nodes[name] for name in program.graph_signature.user_inputs if isinstance(name, str))
    features, logits = (nodes[name] for name in program.graph_signature.user_outputs if isinstance(name, str))
    sizes = (", ".join(str(size) for size in ("n", *node.meta["val"].shape[1:])) for node in (x, features, logits))
    kind = f"ONNX, opset {OPSET}" if path.suffix == ".onnx" else "a program of torch.export"
    return "{}, from x ({}) to features ({}) and logits ({})".format(kind, *sizes)
