"""Show the part of an image that a prediction depends on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tlda.method import Method

LEAST = 4
"""The least height and width of a map: a coarser one says hardly anything about positions."""


class Attribution(NamedTuple):
    """Heat (n, h, w) in 0..1 at the size of the images, and the name of the layer that it is read from."""

    heat: Tensor
    layer: str


def convolutions(method: Method) -> dict[str, nn.Conv2d]:
    """The convolutions of the backbone by name, in their order there."""
    return {name: layer for name, layer in method.backbone.named_modules() if isinstance(layer, nn.Conv2d)}


def grad_cam(method: Method, x: Tensor, classes: Tensor) -> Attribution:
    """The heat ``relu(sum_k a_k A_k)`` of each image for its class, over its maximum (Grad-CAM, Selvaraju et al., ICCV 2017, eq. 1-2).

    ``A_k`` are the maps of the last convolution whose maps are at least 4 x 4, else of the last one, and ``a_k`` the mean gradient
    of the class's logit with respect to ``A_k``.

    Args:
        method: a method whose backbone has a convolution, in evaluation mode.
        x: images (n, c, h, w) in 0..1.
        classes: the class of each that is asked about, (n,).
    """
    maps: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda _, __, out, name=name: maps.update({name: out})) for name, layer in convolutions(method).items()
    ]
    with torch.enable_grad():
        logits = method(x.clone().requires_grad_()).logits
    for hook in hooks:
        hook.remove()
    name = next((n for n in reversed(maps) if min(maps[n].shape[2:]) >= LEAST), [*maps][-1])
    (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), maps[name])
    heat = (gradient.mean((2, 3), keepdim=True) * maps[name]).sum(1, keepdim=True).relu().detach()
    heat = heat / heat.amax((1, 2, 3), keepdim=True).clamp_min(torch.finfo(heat.dtype).tiny)
    return Attribution(interpolate(heat, x.shape[2:], mode="bilinear")[:, 0], name)
