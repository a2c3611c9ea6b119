"""Reconstruction of what was covered."""

from __future__ import annotations

from torch import Tensor

from tlda.errors import UserError
from tlda.nn.numerics import without_autocast


@without_autocast
def masked_pixels(prediction: Tensor, target: Tensor, masked: Tensor, normalise: bool = True) -> Tensor:
    """The mean squared error of the patches that were covered, each patch of mean 0 and variance 1 (MAE; He et al., CVPR 2022, sec. 3).

    Args:
        prediction: the pixels of each patch as they are predicted, (n, l, p).
        target: as they are, (n, l, p).
        masked: which patches were covered, (n, l).
        normalise: whether the target's patches are normalised first.

    Returns:
        The mean over the covered patches; those that were seen do not count.

    Raises:
        UserError: the shapes differ, or nothing was covered.

    Example:
        >>> seen = torch.tensor([[[0.0, 2.0], [5.0, 5.0]]])
        >>> round(masked_pixels(torch.zeros(1, 2, 2), seen, torch.tensor([[True, False]])).item(), 4)
        1.0
    """
    if prediction.shape != target.shape or masked.shape != target.shape[:2]:
        shapes = (tuple(part.shape) for part in (prediction, target, masked))
        raise UserError("masked_pixels compares patches (n, l, p) where (n, l) are covered, and got {}, {} and {}".format(*shapes))
    if not masked.any():
        raise UserError("masked_pixels has no covered patch to predict: cover a larger fraction of each image")
    if normalise:
        target = (target - target.mean(2, keepdim=True)) / (target.var(2, keepdim=True, correction=0) + 1e-6).sqrt()
    return (prediction - target).square().mean(2)[masked].mean()
