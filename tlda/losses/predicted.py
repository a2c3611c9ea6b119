"""Losses of a prediction of another network's output, which is held constant."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cosine_similarity

from tlda.errors import UserError
from tlda.losses.contrastive import two_views
from tlda.nn.numerics import without_autocast


def byol(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Twice one less the cosine of prediction and target: the squared distance of both at length 1 (Grill et al., NeurIPS 2020, eq. 2).

    .. math:: \frac{1}{n} \sum_i \left\lVert \frac{q_i}{\lVert q_i \rVert} - \frac{z_i}{\lVert z_i \rVert} \right\rVert^2

    Args:
        prediction: the online network's prediction, (n, d).
        target: the moving average's projection of the other view, (n, d), which has no gradient.

    Returns:
        The mean over the rows, 0 to 4; the method sums both directions.

    Raises:
        UserError: the shapes differ.

    Example:
        >>> round(byol(torch.ones(1, 2), torch.eye(2)[:1]).item(), 4)
        0.5858
    """
    return 2 + 2 * simsiam(prediction, target)


def simsiam(prediction: Tensor, target: Tensor) -> Tensor:
    r"""The negative cosine of prediction and target (Chen & He, CVPR 2021, eq. 1).

    .. math:: -\frac{1}{n} \sum_i \frac{q_i \cdot z_i}{\lVert q_i \rVert \, \lVert z_i \rVert}

    Args:
        prediction: the predictor's output of a view, (n, d).
        target: the projection of the other view, (n, d), which has no gradient: without that stop the features collapse.

    Returns:
        The mean over the rows, -1 to 1; the method takes the mean of both directions.

    Raises:
        UserError: the shapes differ.

    Example:
        >>> round(simsiam(torch.ones(1, 2), torch.eye(2)[:1]).item(), 4)
        -0.7071
    """
    prediction, target = two_views("a predicted view", prediction, target)
    return -cosine_similarity(prediction, target.detach(), dim=1).mean()


@without_autocast
def dino(student: Tensor, teacher: Tensor, student_temperature: float, teacher_temperature: float, centre: Tensor) -> Tensor:
    r"""The cross-entropy of the student's predictions under the centred and sharpened teacher's (Caron et al., ICCV 2021, eqs. 1 and 2).

    .. math::
        -\frac{1}{n} \sum_i \sum_j \mathrm{softmax}_j\left(\frac{t_i - c}{\tau_t}\right) \log
        \mathrm{softmax}_j\left(\frac{s_i}{\tau_s}\right)

    Args:
        student: the student's scores of one crop of each row, (n, k).
        teacher: the teacher's of another crop, (n, k), which have no gradient.
        student_temperature: divides the student's scores, 0.1 in the paper.
        teacher_temperature: divides the teacher's, 0.04 to 0.07.
        centre: subtracted from the teacher's scores, (k,): the moving average of their mean.

    Returns:
        The mean over the rows, in nats.

    Raises:
        UserError: the shapes differ, or a temperature is not above 0.

    Example:
        >>> round(dino(torch.eye(2), torch.eye(2), 0.5, 0.25, torch.zeros(2)).item(), 4)
        0.1629
    """
    if not min(student_temperature, teacher_temperature) > 0:
        raise UserError(f"dino: the temperatures are {student_temperature} and {teacher_temperature}, and they must be above 0")
    student, teacher = two_views("dino", student, teacher)
    wanted = ((teacher.detach() - centre) / teacher_temperature).softmax(1)
    return -(wanted * (student / student_temperature).log_softmax(1)).sum(1).mean()
