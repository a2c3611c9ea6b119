"""Losses of generators and their critics."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn.functional import cross_entropy, relu

from tlda.nn.numerics import full_precision, option

Adversary = Literal["lsgan", "hinge"]


def gan_generator(fake: Tensor, adversary: Adversary = "lsgan") -> Tensor:
    r"""A generator's loss by the critic's scores of what it made, of any shape.

    .. math:: \frac{1}{n} \sum_i \left(D(G(x_i)) - 1\right)^2

    Args:
        fake: the scores.
        adversary: ``lsgan`` is ``(D(G(x)) - 1)^2`` (Mao et al., ICCV 2017, eq. 9 with a = 0, b = c = 1, and CycleGAN's without the
            half); ``hinge`` is ``-D(G(x))`` (Miyato et al., ICLR 2018, eq. 17).

    Raises:
        UserError: an unknown adversary.

    Example:
        >>> fake = torch.tensor([0.0, 1.0])
        >>> round(gan_generator(fake).item(), 4)
        0.5
    """
    fake = full_precision(fake)
    losses = {"lsgan": (fake - 1).square().mean(), "hinge": -fake.mean()}
    return option("gan_generator", "adversary", adversary, losses)


def gan_critic(real: Tensor, fake: Tensor, adversary: Adversary = "lsgan") -> Tensor:
    r"""A critic's loss by its scores of images of the domain and of made ones, halved as in CycleGAN so that it learns more slowly.

    .. math:: \frac{1}{2} \left(\frac{1}{n} \sum_i (D(x_i) - 1)^2 + \frac{1}{m} \sum_j D(G(x_j))^2\right)

    Args:
        real: the scores of images of the domain.
        fake: the scores of made ones.
        adversary: ``lsgan`` (Mao et al., ICCV 2017, eq. 9) or ``hinge`` (Miyato et al., ICLR 2018, eq. 16).

    Raises:
        UserError: an unknown adversary.

    Example:
        >>> real, fake = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])
        >>> round(gan_critic(real, fake).item(), 4)
        0.25
    """
    real, fake = full_precision(real), full_precision(fake)
    losses = {
        "lsgan": (real - 1).square().mean() + fake.square().mean(),
        "hinge": relu(1 - real).mean() + relu(1 + fake).mean(),
    }
    return option("gan_critic", "adversary", adversary, losses) / 2


def semantic_consistency(after: Tensor, before: Tensor) -> Tensor:
    r"""The cross-entropy of a classifier on translated images to its own classes of them as they were (Hoffman et al., ICML 2018, eq. 4).

    .. math:: -\frac{1}{n} \sum_i \log p_{\hat{y}_i}(G(x_i)), \quad \hat{y}_i = \arg\max_j p_j(x_i)

    Args:
        after: its logits of the translated images, (n, c).
        before: its logits of the images, (n, c), of which no gradient comes.

    Example:
        >>> after, before = torch.zeros(1, 2), torch.tensor([[3.0, 0.0]])
        >>> round(semantic_consistency(after, before).item(), 4)
        0.6931
    """
    return cross_entropy(full_precision(after), before.argmax(1))
