"""Anyone's images with boxes of classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from tlda.batch import Sample
from tlda.data.augmenting import Augment, as_floats
from tlda.data.box_layouts import Annotated, Found, LayoutName, parts_of, read_boxes
from tlda.data.boxed_files import BoxedFiles, moved_boxes
from tlda.data.pooling import Name
from tlda.data.positions import Positions
from tlda.data.sized_files import warn_of_turned
from tlda.errors import UserError, near
from tlda.nn.center_net import targets
from tlda.tasks import Detection, Task


class Boxes(Positions[Sequence[Annotated]]):
    """Images with boxes in ``root/DOMAIN``, in the layout of YOLO (``images``, ``labels``, and ``classes.txt`` there or in the root), of
    Pascal VOC (``JPEGImages``, ``Annotations``, ``ImageSets/Main``) or of COCO (one JSON file, there or in ``annotations``).

    A domain with a folder ``test`` trains on ``root/DOMAIN/train``, and is measured on ``root/DOMAIN/test``, either of such a layout;
    one with VOC's ``test.txt`` likewise. Boxes that VOC calls difficult count as others; COCO's regions of a crowd are left out, so
    that what is found in one counts as false. A target without annotations is adapted to and predicted, and it is not measured.
    Augmentations that move an image move its boxes alike.

    Args:
        root: the folder of the domains; where there is none by that name, the one in ``TLDA_DATA``.
        source: the domain with boxes, or a list of several, whose images are pooled; by default ``source``. It may be a path below the
            root.
        target: the domain without; by default ``target``.
        classes: the names of the classes, of which boxes are looked for; others are left out. By default all, which both domains must have.
        layout: ``yolo``, ``voc`` or ``coco``; by default what is found decides.
        size: the height and width that images and boxes are brought to, or one number for both.
        stride: the distance of two positions in pixels, which is that of the backbone :class:`tlda.backbones.Dense`; null where boxes
            themselves are learnt, by :class:`tlda.methods.Detector`.
        max_rows: see :class:`tlda.tasks.Detection`.
        most: the most boxes of an image that are found.
        eval_batch_size: the images of a batch where nothing is trained.
        nms: the intersection over union, above 0 and below 1, above which the worse of two found boxes of one class is left out; null
            for none but the choice of the heat's peaks, as in CenterNet's paper.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: a folder that is missing or empty; an image without annotation, or the reverse; a box outside its image, without area or
            of an unknown class; domains of unlike classes; a size that is no multiple of the stride; an augmentation that does not say
            whether it moves what is in an image, or bends it.
    """

    def __init__(
        self,
        root: str | None = None,
        source: list[Name] | Name | None = None,
        target: Name | None = None,
        classes: list[Name] | None = None,
        layout: LayoutName | None = None,
        size: list[int] | int = 256,
        stride: int | None = 4,
        max_rows: int | None = 512,
        most: int = 100,
        eval_batch_size: int = 16,
        nms: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, source, target, size, stride or 1, eval_batch_size=eval_batch_size, **kwargs)
        self.of_images = stride is None
        self.classes, self.layout = [str(name) for name in classes or ()], layout
        self.max_rows, self.most, self.nms = max_rows, most, nms

    @property
    def transfer(self) -> str:
        return super().transfer.replace("/", "-")

    @cached_property
    def read(self) -> dict[str, list[Found]]:
        """What is in the folder of each domain: one part, or the part to train on and the one to measure."""
        return {name: self._read(name) for name in (*self.sources, self.target)}

    def _read(self, name: str) -> list[Found]:
        folder = self.root / name
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}: set --data.root, --data.source and --data.target to where the images are")
        parts = [read_boxes(part, self.layout, self.classes, name == self.target, self.root) for part in parts_of(folder)]
        warn_of_turned(name, [one.image for part in parts for one in (*part.images, *part.test) if one.boxes is not None])
        return parts

    @cached_property
    def names(self) -> list[str]:
        """The names of the classes.

        Raises:
            UserError: a domain lacks one that was asked for, or the domains have unlike ones.
        """
        each = {name: list(dict.fromkeys(one for part in parts for one in part.names)) for name, parts in self.read.items()}
        wanted = self.classes or each[self.sources[0]]
        every = [one for known in each.values() for one in known]
        for domain, known in each.items():
            # VOC has no list of names: of a class that another domain has, one may have no box.
            there = known if not self.classes or all(part.listed for part in self.read[domain]) else every
            if known and (lacking := [name for name in wanted if name not in there]):
                raise UserError(
                    f"'{domain}' has no class '{lacking[0]}'{near(lacking[0], there)}; --data.classes names those of all domains"
                )
            if not self.classes and (more := [name for name in known if name not in wanted]):
                raise UserError(f"'{domain}' has the class '{more[0]}', and '{self.sources[0]}' has not: give --data.classes those of both")
        return wanted

    @cached_property
    def task(self) -> Task:
        """The detection of boxes of the classes."""
        task = Detection(self.names, max_rows=self.max_rows, most=self.most, nms=self.nms)
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    def find(self, name: str) -> tuple[Sequence[Annotated], Sequence[Annotated] | None]:
        train, *test = self.read[name]
        return train.images, test[0].images if test else train.test or None

    def rows_of(self, files: Sequence[Annotated]) -> BoxedFiles:
        numbers = {name: number for number, name in enumerate(self.names)}
        return BoxedFiles(files, self.size, numbers, self._largest)

    @cached_property
    def _largest(self) -> int:
        """The boxes of the image that has the most, so that all domains have one shape."""
        found = [one for parts in self.read.values() for part in parts for one in (*part.images, *part.test)]
        return max(1, *(sum(box.name in self.names for box in one.boxes or ()) for one in found))

    def unknown(self, files: Sequence[Path]) -> BoxedFiles:
        return BoxedFiles([Annotated(path) for path in files], self.size, {}, 1)

    def of_positions(self, y: Tensor, size: tuple[int, int]) -> Tensor:
        """What CenterNet learns of each position, see :func:`tlda.nn.center_net.targets`."""
        return targets(y, size, self.stride, len(self.names))

    def _as_rows(self, domain: Any) -> Any:
        return domain if self.of_images else super()._as_rows(domain)

    def moved(self, change: Augment, batch: Sample) -> Sample:
        x, y = moved_boxes(change, as_floats(batch.x), batch.y)
        return batch._replace(x=x, y=y)
