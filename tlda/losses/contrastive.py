"""Contrastive losses: each row is to be told from the other rows of its batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from tlda.errors import UserError
from tlda.nn.numerics import feature_pair, without_autocast


def _rows(loss: str, first: Tensor, second: Tensor, temperature: float | Tensor) -> tuple[Tensor, Tensor]:
    """Both views (n, d) at full precision, each row of length 1."""
    if not temperature > 0:
        raise UserError(f"{loss}: the temperature is {temperature}, and it must be above 0")
    first, second = two_views(loss, first, second)
    return normalize(first, dim=1), normalize(second, dim=1)


def two_views(loss: str, first: Tensor, second: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    """Two views (n, d) of the same rows, at full precision.

    Raises:
        UserError: ``loss`` cannot pair their rows, or has fewer than ``least``.
    """
    first, second = feature_pair(loss, first, second, least)
    if len(first) != len(second):
        raise UserError(f"{loss} pairs the rows of two views, and got {len(first)} and {len(second)}: give it one row per input in each")
    return first, second


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    r"""The cross-entropy of finding a row's other view among the 2n - 1 other rows, by cosine (NT-Xent; Chen et al., ICML 2020, eq. 1).

    .. math:: -\frac{1}{2n} \sum_i \log \frac{\exp(z_i \cdot z_{i'} / \tau)}{\sum_{k \ne i} \exp(z_i \cdot z_k / \tau)}

    Args:
        z1: the first view of each row, (n, d).
        z2: the second view, (n, d).
        temperature: divides the cosines.

    Returns:
        The mean over the 2n rows, in nats.

    Raises:
        UserError: the views differ in shape, or the temperature is not above 0.

    Example:
        >>> round(nt_xent(torch.eye(2), torch.eye(2), 0.5).item(), 4)
        0.2395
    """
    return sup_con(z1, z2, torch.arange(len(z1), device=z1.device), temperature)


@without_autocast
def sup_con(z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> Tensor:
    r""":func:`nt_xent` with all rows of one label as views of each other (Khosla et al., NeurIPS 2020, eq. 2, the sum outside).

    .. math::
        -\frac{1}{2n} \sum_i \frac{1}{|P(i)|} \sum_{p \in P(i)} \log \frac{\exp(z_i \cdot z_p / \tau)}{\sum_{k \ne i} \exp(z_i \cdot z_k /
        \tau)}

    Args:
        z1: the first view of each row, (n, d).
        z2: the second view, (n, d).
        labels: the class of each row, (n,).
        temperature: divides the cosines.

    Returns:
        The mean over the 2n rows of the mean over their positives, in nats.

    Raises:
        UserError: the views differ in shape, or the temperature is not above 0.

    Example:
        >>> round(sup_con(torch.eye(2), torch.eye(2), torch.zeros(2), 0.5).item(), 4)
        1.5729
    """
    z = torch.cat(_rows("a contrastive loss", z1, z2, temperature))
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    log_p = (z @ z.T / temperature).masked_fill(itself, -torch.inf).log_softmax(1)
    classes = labels.repeat(2)
    positive = (classes[:, None] == classes) & ~itself
    return -(log_p.masked_fill(~positive, 0.0).sum(1) / positive.sum(1)).mean()


@without_autocast
def clip(image: Tensor, text: Tensor, temperature: float | Tensor) -> Tensor:
    r"""The cross-entropy of finding an image's text among those of the batch, and a text's image (CLIP; Radford et al., ICML 2021, fig. 3).

    .. math::
        -\frac{1}{2n} \sum_i \left(\log \frac{\exp(u_i \cdot v_i / \tau)}{\sum_k \exp(u_i \cdot v_k / \tau)} + \log \frac{\exp(u_i \cdot
        v_i / \tau)}{\sum_k \exp(u_k \cdot v_i / \tau)}\right)

    Args:
        image: the features of images, (n, d).
        text: those of the text of each, (n, d).
        temperature: divides the cosines; CLIP starts at 0.07, and learns it: a scalar with a gradient.

    Returns:
        The mean of both directions, in nats.

    Raises:
        UserError: as many images as texts are not given, or the temperature is not above 0.

    Example:
        >>> round(clip(torch.eye(2), torch.eye(2), 0.5).item(), 4)
        0.1269
    """
    image, text = _rows("clip", image, text, temperature)
    logits, own = image @ text.T / temperature, torch.arange(len(image), device=image.device)
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
