"""Cut a network into its blocks, in the order in which an input passes them."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

SEQUENCES = frozenset({"blocks", "features", "layer", "layers", "stages"})
"""The names that timm, torchvision and transformers give to the container of the stages or layers of a network."""


def cut(network: nn.Module) -> list[nn.Module]:
    """The blocks of ``network``. A block is a module with weight matrices, and all modules between it and the next block.

    So a normalisation, an activation or a dropout belongs to the layer before it. Stages stay whole.
    """
    blocks: list[list[nn.Module]] = []
    for part in _parts(network):
        has_weights = any(parameter.ndim > 1 for parameter in part.parameters())
        if not blocks or (has_weights and any(True for module in blocks[-1] for _ in module.parameters())):
            blocks.append([])
        blocks[-1].append(part)
    return [nn.ModuleList(block) for block in blocks]


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    children = dict(module.named_children())
    if len(children) == 1:
        (child,) = children.values()
        yield from _parts(child) if any(True for _ in child.children()) else (child,)
        return
    for name, child in children.items():
        if name in SEQUENCES:
            yield from child.children()
        elif SEQUENCES & {inner for inner, _ in child.named_children()}:
            yield from _parts(child)
        else:
            yield child
