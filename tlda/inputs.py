"""Which rows a batch of inputs has: one an image or a text, one a word, or the places where an answer may begin and end.

Token ids are whole numbers (n, l), with :data:`PAD` where there is no token. What is asked of words comes as (n, l, 2): beside the ids, 1
at the first token of each word. What is asked of a text for an answer comes as (n, l, 3): ids, 1 where an answer may be, and the number
of the segment, 0 for the question. The features of either are those of the marked places, flattened (m, d), so that one linear layer is
the head of all three, and every loss sees rows of features and logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from tlda.batch import OF_TARGET, PAD, Batch, FewPair, FewSource, Inputs, Output, Pair, Sample, SourceBatch
from tlda.errors import UserError

WORDS, SPANS = 2, 3
"""The number of channels of texts whose words have classes, and of those in which an answer is looked for."""

END = 2
"""The mark of a token that makes no row and ends a document, beyond which attention does not see."""

Same = TypeVar("Same", bound=Inputs)

NOWHERE = -1e4
"""The logit of a place where no answer may be: finite, so that entropies are, and small in half precision too."""


def channels(x: Inputs) -> int:
    """:data:`WORDS`, :data:`SPANS`, or 1 where a whole input makes one row."""
    return x.shape[2] if isinstance(x, Tensor) and x.ndim == 3 and not x.is_floating_point() else 1


def places(x: Tensor) -> Tensor:
    """Which tokens of ``x`` (n, l, k) make a row, (n, l)."""
    return x[..., 1] == 1


def joined(inputs: Sequence[Same]) -> Same:
    """Join the inputs of several domains into one batch; token ids are padded to the longest text, and a NamedTuple is joined by field."""
    whole: Same = _joined(inputs)
    return whole


def _joined(tensors: Sequence[Any]) -> Any:
    if isinstance(tensors[0], tuple):
        kind = type(tensors[0])
        return kind(*map(_joined, zip(*tensors, strict=True)))
    if tensors[0].dtype != torch.long:
        return torch.cat(list(tensors))
    longest = max(x.shape[1] for x in tensors)
    return torch.cat([pad(x, (*(0, 0) * (x.ndim - 2), 0, longest - x.shape[1]), value=PAD) for x in tensors])


def taken(x: Same, rows: Tensor) -> Same:
    """Some rows of inputs, of a NamedTuple field by field; ``rows`` are their numbers, or a mark per row."""
    some: Same = _taken(x, rows)
    return some


def _taken(x: Any, rows: Tensor) -> Any:
    return type(x)(*(_taken(part, rows) for part in x)) if isinstance(x, tuple) else x[rows]


def copied(x: Same) -> Same:
    """A copy of inputs, of a NamedTuple field by field."""
    copy: Same = _copied(x)
    return copy


def _copied(x: Any) -> Any:
    return type(x)(*map(_copied, x)) if isinstance(x, tuple) else x.clone()


def merged(batch: FewSource | FewPair) -> SourceBatch | Pair:
    """The batch whose labelled rows are the source's and then the target's, which :data:`tlda.batch.OF_TARGET` marks."""
    (first, few), rest = batch[:2], batch[2:]
    few = few._replace(domain=torch.full_like(few.domain, OF_TARGET))
    labelled = Sample(joined([first.x, few.x]), *(torch.cat(columns) for columns in zip(first[1:], few[1:], strict=True)))
    return Pair(labelled, *rest) if rest else SourceBatch(labelled)


def of_source(batch: Batch, source: Output) -> tuple[Batch, Output]:
    """A batch of :func:`merged` and the output of its labelled rows, without those of the target."""
    whole: Any = batch
    own = batch[0].domain != OF_TARGET
    return whole._replace(**{batch._fields[0]: _taken(whole[0], own)}), Output(*(part[own] for part in source))


def size(x: Inputs) -> int:
    """The number of inputs in ``x``, a tensor or a NamedTuple of tensors."""
    return size(x[0]) if isinstance(x, tuple) else len(x)


def split(output: Output, inputs: Sequence[Tensor]) -> list[Output]:
    """Take the output of the joined ``inputs`` apart again."""
    each = len(output.features) // sum(map(size, inputs))  # more than one where a row is a position of an input
    rows = [int(places(x).sum()) if channels(x) > 1 else each * size(x) for x in inputs]
    logits = [2 * size(x) if channels(x) == SPANS else r for x, r in zip(inputs, rows, strict=True)]
    return [Output(*parts) for parts in zip(torch.split(output.features, rows), torch.split(output.logits, logits), strict=True)]


def map_size(rows: int, x: Tensor) -> tuple[int, int]:
    """The height and width of the maps whose positions are ``rows`` rows, for images ``x`` (n, c, h, w).

    Raises:
        UserError: so many rows are no maps of these images.
    """
    if rows == len(x):  # an answer per image is a map of one position
        return 1, 1
    stride = max(1, round((len(x) * x.shape[-2] * x.shape[-1] / max(rows, 1)) ** 0.5))
    height, width = x.shape[-2] // stride, x.shape[-1] // stride
    if len(x) * height * width != rows:
        raise UserError(f"{rows} rows are no maps of images {tuple(x.shape)}: give --model.backbone Dense, whose rows are positions")
    return height, width


def require_positions(logits: Tensor, y: Tensor) -> None:
    """Raise :class:`UserError` where a network answers for other positions than those of the labels."""
    if len(logits) != len(y):
        raise UserError(
            f"the network answers for {len(logits)} positions of a batch, and its labels are of {len(y)}: give --model.backbone Dense, "
            "and its stride as --data.stride"
        )


def as_maps(rows: Tensor, x: Tensor) -> Tensor:
    """The rows (m, d) of the positions of images ``x`` (n, c, h, w) as maps (n, d, h / stride, w / stride)."""
    return rows.view(len(x), *map_size(len(rows), x), -1).permute(0, 3, 1, 2)


def windowed(answer: Callable[[Tensor], Output], x: Tensor, size: Sequence[int]) -> Output:
    """The output for images ``x`` (n, c, h, w) that may be larger than windows of ``size`` (height, width), one window after another.

    Windows overlap by half. Each position is taken from one in whose inner half it lies, or at the border of which the image ends: it has
    the output for the whole image where it sees no further than a quarter of a window. In memory are what ``answer`` needs for a window,
    and the rows of the whole images.
    """
    sides = [min(length, side) for length, side in zip(x.shape[-2:], size, strict=True)]
    if sides == [*x.shape[-2:]]:
        return answer(x)
    corner = x[..., : sides[0], : sides[1]]
    first = answer(corner)
    shown = map_size(len(first.features), corner)
    stride = sides[0] // shown[0]
    whole = x.shape[-2] // stride, x.shape[-1] // stride
    maps = [part.new_empty(len(x), part.shape[1], *whole) for part in first]
    for (top, rows), (left, columns) in product(*map(_inner, whole, shown)):
        window = x[..., stride * top : stride * top + sides[0], stride * left : stride * left + sides[1]]
        output = answer(window) if top or left else first
        for each, part in zip(maps, output, strict=True):
            own = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
            each[..., rows, columns] = as_maps(part, window)[..., own[0], own[1]]
    return Output(*(each.permute(0, 2, 3, 1).flatten(0, 2) for each in maps))


def _inner(length: int, window: int) -> list[tuple[int, slice]]:
    """Where windows on a line of ``length`` positions begin, and which positions are taken from each: together all."""
    quarter, last = window // 4, length - window
    starts = [*range(0, last, window - 2 * quarter), last]
    return [(start, slice(start + quarter if start else 0, length if start == last else start + window - quarter)) for start in starts]


def drawn(batch: Batch, source: Output, target: Output, most: int) -> tuple[Batch, Output, Output]:
    """At most ``most`` rows of the first and of the last domain of a batch, which may be one, with their labels."""
    whole: Any = batch
    first, source_rows = _thinned(whole[0], source, most)
    if len(whole) == 1:
        return type(whole)(first), source_rows, source_rows
    last, target_rows = _thinned(whole[-1], target, most)
    return type(whole)(first, *whole[1:-1], last), source_rows, target_rows


def _thinned(domain: Any, output: Output, most: int) -> tuple[Any, Output]:
    """The rows of one domain: one at random out of each of ``most`` equal parts."""
    rows = len(output.features)
    if rows <= most:
        return domain, output
    chosen = ((torch.arange(most) + torch.rand(most)) * rows / most).long().clamp_max(rows - 1).to(output.features.device)
    parts = {name: part for name, part in domain._asdict().items() if name != "x" and part.shape[:1] == (rows,)}
    return domain._replace(**{name: part[chosen] for name, part in parts.items()}), Output(*(part[chosen] for part in output))


def arranged(logits: Tensor, x: Tensor) -> Tensor:
    """Arrange the scores (m, 2) of all positions of texts ``x`` (n, l, 3) as logits (2 n, l), begin and end of each text in turn.

    Their classes are then the positions in the text, and the label of a row is where the answer begins or ends.
    """
    scores = logits.new_full((*x.shape[:2], 2), NOWHERE).masked_scatter(places(x)[..., None], logits)
    return scores.transpose(1, 2).flatten(0, 1)
