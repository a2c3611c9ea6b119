"""What another network says of the same thing, in place of a label."""

from __future__ import annotations

from torch import Tensor

from tlda.errors import UserError
from tlda.nn.numerics import full_precision, log_probabilities, without_autocast


@without_autocast
def distillation(logits: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    r"""The divergence of a student's softened predictions from a teacher's (Hinton, Vinyals & Dean, 2015, sec. 2).

    .. math:: \frac{\tau^2}{n} \sum_i \sum_c q_{ic} \log \frac{q_{ic}}{p_{ic}}, \quad p = \sigma(z / \tau), \; q = \sigma(z^t / \tau)

    Args:
        logits: of the student, (n, c).
        teacher: of the teacher for the same rows, (n, c), which carry no gradient.
        temperature: divides the logits of both; its square keeps the gradient's size.

    Returns:
        The mean over the rows, in nats times the squared temperature.

    Raises:
        UserError: the shapes differ, or the temperature is not above 0.

    Example:
        >>> round(distillation(torch.zeros(2, 2), torch.tensor([[0.0, 2.0], [2.0, 0.0]])).item(), 4)
        0.3278
    """
    if logits.shape != teacher.shape or logits.ndim != 2:
        raise UserError(
            f"distillation compares the logits of the same rows, and got {tuple(logits.shape)} and {tuple(teacher.shape)}: give it one row "
            "per input, of the same classes, in each"
        )
    if not temperature > 0:
        raise UserError(f"distillation: the temperature is {temperature}, and it must be above 0")
    log_p, log_q = (log_probabilities(full_precision(z) / temperature) for z in (logits, teacher.detach()))
    return temperature**2 * (log_q.exp() * (log_q - log_p)).sum(1).mean()
