"""What tlda is compared with: the same training, written by hand in plain PyTorch, with nothing but what it needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

CLASSES, HIDDEN = 10, {"dann": 1024, "cdan_e": 500}


class Reverse(torch.autograd.Function):
    """The identity, with a reversed gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficient: float) -> Tensor:
        ctx.coefficient = coefficient
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0].mul(-ctx.coefficient), None


class Net(nn.Module):
    """The feature extractor ``name`` (LeNet, or a network of timm), a head, and the critic that ``method`` needs."""

    def __init__(self, method: str, name: str) -> None:
        super().__init__()
        if name == "lenet":
            self.mean, self.std, width = torch.tensor(0.5), torch.tensor(0.5), 500
            self.backbone: nn.Module = nn.Sequential(
                nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(),
                nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.ReLU(),
                nn.Dropout(0.5), nn.Flatten(), nn.Linear(800, width), nn.ReLU(),
            )  # fmt: skip
        else:
            model: Any = timm.create_model(name, pretrained=False, num_classes=0)
            self.backbone, width = model, model.num_features
            self.mean, self.std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
        self.head = nn.Linear(width, CLASSES)
        if method in HIDDEN:
            inputs, hidden = width * (CLASSES if method == "cdan_e" else 1), HIDDEN[method]
            self.critic = nn.Sequential(
                nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
            )  # fmt: skip


def source_only(net: Net, x: Tensor, y: Tensor, coefficient: float) -> Tensor:
    """Cross-entropy on the source."""
    return cross_entropy(net.head(net.backbone(x)), y)


def dann(net: Net, x: Tensor, y: Tensor, coefficient: float) -> Tensor:
    """The task, and a critic behind a gradient reversal (Ganin et al., JMLR 2016)."""
    features = net.backbone(x)
    critic = net.critic(Reverse.apply(features, coefficient)).flatten().float()
    is_source = (torch.arange(len(x)) < len(y)).float()
    return cross_entropy(net.head(features)[: len(y)], y) + binary_cross_entropy_with_logits(critic, is_source)


def cdan_e(net: Net, x: Tensor, y: Tensor, coefficient: float) -> Tensor:
    """The task, and a critic of features x predictions, each example weighed by its certainty (Long et al., NeurIPS 2018)."""
    features, n = net.backbone(x), len(y)
    logits = net.head(features)
    log_p = logits.detach().float().log_softmax(1)
    p = log_p.exp()
    weight = 1 + (p * log_p).sum(1).exp()
    weight = torch.cat((weight[:n] / weight[:n].sum(), weight[n:] / weight[n:].sum()))
    mapped = torch.bmm(p.unsqueeze(2), Reverse.apply(features, coefficient).unsqueeze(1)).flatten(1)
    is_source = (torch.arange(len(x)) < n).float()
    return cross_entropy(logits[:n], y) + 0.5 * binary_cross_entropy_with_logits(
        net.critic(mapped).flatten().float(), is_source, weight, reduction="sum"
    )


METHODS: dict[str, Callable[[Net, Tensor, Tensor, float], Tensor]] = {"source_only": source_only, "dann": dann, "cdan_e": cdan_e}


def train(method: str, backbone: str, images: list[Tensor], labels: Tensor, order: list[Tensor], fast: bool) -> Iterator[Tensor]:
    """Train, and give each step's loss.

    Args:
        method: a name in ``METHODS``.
        backbone: ``lenet``, or the name of a network of timm.
        images: of each domain that the method sees, bytes (n, c, h, w).
        labels: the source's classes, (n,).
        order: of each of these domains, the rows of each step, (steps, batch).
        fast: bfloat16 autocast, channels-last and fused Adam; else float32 and PyTorch's defaults.
    """
    torch.manual_seed(0)
    net = Net(method, backbone)
    if fast:
        net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fast or None)
    loss_of, steps = METHODS[method], len(order[0])
    torch.manual_seed(0)
    for step in range(steps):
        progress = step / steps
        optimizer.param_groups[0]["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * progress))
        coefficient = 2 / (1 + math.exp(-10 * progress)) - 1
        x = torch.cat([domain[rows[step]] for domain, rows in zip(images, order, strict=True)])
        x = x.float().div_(255).sub_(net.mean).div_(net.std)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            loss = loss_of(net, x, labels[order[0][step]], coefficient)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield loss.detach()
