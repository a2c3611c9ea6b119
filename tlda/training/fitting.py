"""Checks before training: a method, its losses, its task and the data must fit together."""

from __future__ import annotations

import torch
from torch import Tensor

from tlda.batch import FEW
from tlda.data.augmenting import Augment
from tlda.data.text.tokenizers import require_tokenizer
from tlda.errors import UserError
from tlda.losses import Loss
from tlda.tasks import Classification, Segmentation, Several, Task
from tlda.tasks.measures import Measures
from tlda.training.lightning import data_of
from tlda.training.trained import Trained


def task_of(method: Trained, task: Task | int) -> Task:
    """The task of ``method``: a number stands for the classification of that many classes.

    Raises:
        UserError: the method reads classes, and the task has none; it pairs inputs, and the task's rows are others.
    """
    made = Classification([str(number) for number in range(task)]) if isinstance(task, int) else task
    _require_rows(method, made)
    return made


def most_rows(task: Task) -> int | None:
    """The most rows of a domain that a loss sees which compares all pairs of them: those of a map of positions; None for all."""
    return getattr(task, "max_rows", None)


def _require_rows(method: Trained, task: Task) -> None:
    name, kind = type(method).__name__, type(task).__name__
    if method.reads_classes and not task.classes:
        raise UserError(
            f"{name} looks at the classes of a row, and {kind} has none: take a method that compares features, such as DANN or DAN"
        )
    if method.several_sources and len(task.sources) < 2:
        raise UserError(
            f"{name} tells source domains apart and needs two or more, and the data have one: name several, as --data.source [art,photo]"
        )
    if method.whole_inputs and most_rows(task) is not None:
        raise UserError(
            f"{name} {method.whole_inputs}, and each position of an image is a row here: take another method, such as MCC or DACS"
        )
    losses = [name for name, loss in (method.losses.items() if "losses" in method._modules else ()) if loss.pairs_rows]
    losses = losses if most_rows(task) is None else []  # each sees as many rows of both
    if (method.pairs_rows or losses) and not task.one_row:
        who = f"the loss '{losses[0]}'" if losses else name
        raise UserError(
            f"{who} pairs the rows of two domains, which have as many inputs, but not as many rows of {kind}: take another method"
        )


def _require_still(method: Trained) -> None:
    """Refuse views of images under a method of their positions, of which it would compare others with one another."""
    if not isinstance(method.task, Segmentation):
        return
    for place, part in method.named_modules():
        if isinstance(part, Augment) and part.moves is not False:
            option, how = (
                place.partition(".")[0],
                "moves what is in them" if part.moves else "does not say whether it moves what is in them",
            )
            raise UserError(
                f"{type(method).__name__} changes images by {type(part).__name__}, which {how}, and each position has a class: give "
                f"--model.{option} without it, such as --model.{option} [Cutout]"
            )


def _require_pairs(method: Trained, data: object) -> None:
    names = [type(method).__name__] * method.pairs_rows + [f"the loss '{name}'" for name, loss in method.losses.items() if loss.pairs_rows]
    if (ratio := getattr(data, "unlabelled_ratio", None) or 1) > 1 and names:
        raise UserError(
            f"{names[0]} pairs the rows of two domains, and --data.unlabelled_ratio {ratio} gives them unlike numbers: leave it out"
        )


def _require_few(method: Trained, data: object) -> None:
    """Refuse a few labels of the target under a method that cannot learn them beside the source."""
    if not getattr(method, "few_labels", None):
        return
    name, out = type(method).__name__, "leave --model.few_labels out"
    if not method.few_labels_fit or method.batch_type not in FEW:
        raise UserError(f"{name} has no labels of the source that a few of the target could be learnt beside: {out}")
    if method.several_sources:
        raise UserError(f"{name} tells source domains apart, of which a few labels of the target are none: {out}")
    if not method.task.one_row:
        raise UserError(f"{type(method.task).__name__} has many rows per input, and few_labels is of inputs with one: {out}")
    if not (getattr(data, "shots", None) or getattr(data, "labelled", None)):
        raise UserError(f"{name} learns a few labels of the target, and nothing says which: give --data.shots or --data.labelled, or {out}")
    if method.pairs_rows:
        raise UserError(f"{name} pairs the rows of two domains, and few_labels gives them unlike numbers: {out}")


def refuse_loss(method: Trained, name: str, loss: Loss) -> None:
    """Raise :class:`UserError` where ``loss`` cannot be added to ``method`` as ``name``."""
    own, out = type(method).__name__, f"leave the loss '{name}' out of --model.plus"
    if method.takes_no_loss:
        raise UserError(f"{method.takes_no_loss}: {out}")
    if name in method.losses:
        raise UserError(f"{own} already has a loss named '{name}'; leave it out of --model.plus")
    if method.one_domain and loss.compares_domains:
        raise UserError(f"{own} trains on one domain at a time, and the loss '{name}' compares two: leave it out of --model.plus")
    if loss.reads_classes and not method.task.classes:
        raise UserError(f"the loss '{name}' looks at the classes of a row, and {type(method.task).__name__} has none: {out}")
    if loss.pairs_rows and not method.task.one_row and most_rows(method.task) is None:
        raise UserError(f"the loss '{name}' pairs the rows of two domains, and {type(method.task).__name__} has not as many in both: {out}")


def refuse_data(method: Trained) -> None:
    """Give ``method`` the task of its data, with the names in it.

    Raises:
        UserError: the data have other classes, other inputs than the method takes, or other tokens than its encoder.
    """
    data = data_of(method.trainer)
    if data is None:
        return
    own, asked = (task.first if isinstance(task, Several) else task for task in (method.task, data.task))
    if not isinstance(asked, type(own)) or len(asked.outputs) != len(own.outputs):
        raise UserError(
            f"{type(method).__name__} was made for {_named(method.task)}, and the data ask for {_named(data.task)}: "
            "make it with task=data.task"
        )
    _require_rows(method, asked)
    if method.several_sources and len(asked.sources) != len(own.sources):
        raise UserError(
            f"{type(method).__name__} was made for {len(own.sources)} source domains, and the data have {len(asked.sources)}: "
            "make it with task=data.task"
        )
    _require_still(method)
    _require_pairs(method, data)
    _require_few(method, data)
    if isinstance(data.task, type(method.task)):
        method.task = method.network.task = data.task
    require_tokenizer(method.backbone, data)
    _require_rate(method, data)
    x = data.loaded[0].train[torch.zeros(1, dtype=torch.long)].x if method.takes != "any" else None
    numbers = isinstance(x, Tensor) and (x.is_floating_point() or x.dtype == torch.uint8)
    fits = {
        "any": True,
        "numbers": numbers,
        "images": numbers and getattr(x, "ndim", 0) == 4,
        "tokens": isinstance(x, Tensor) and not numbers,
    }
    if not fits[method.takes]:
        what = "images with texts" if isinstance(x, tuple) else tuple(x.shape[1:]) if numbers and x is not None else "tokens"
        raise UserError(
            f"{type(method).__name__} trains on {method.takes}, and the inputs of {type(data).__name__} are {what}: see tlda list"
        )


def _require_rate(method: Trained, data: object) -> None:
    """Refuse sounds of another rate than the backbone reads: their spectrogram would be another without a word."""
    reads, has = (getattr(each, "rate", None) for each in (method.backbone, data))
    if None not in (reads, has) and reads != has:
        raise UserError(
            f"{type(method.backbone).__name__} reads {reads} samples per second, and the data have {has}: give --model.backbone.rate {has}"
        )


def _named(task: Task) -> str:
    return f"{type(task).__name__} of {len(task.outputs)}"


def measures_of(method: Trained) -> Measures:
    """What a run of ``method`` measures: the places of its data, or source and target where the trainer was given loaders."""
    data = data_of(method.trainer)
    return Measures(method.task) if data is None else Measures(method.task, data.places)
