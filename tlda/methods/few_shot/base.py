"""The base class of methods that learn new classes from a few examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import Episode, EpisodeBatch, Output, Sample
from tlda.errors import UserError
from tlda.method import Method
from tlda.tasks import FewShot


class Episodic(Method, ABC):
    """The base of methods that answer the queries of an episode by its examples; a subclass gives :meth:`answered`.

    A step is one episode; ``--trainer.accumulate_grad_batches`` has a meta-batch of several.
    """

    setting: ClassVar[str] = "few-shot"
    takes_no_loss: ClassVar[str] = "few-shot methods train on episodes, and have no source and target that a loss could compare"

    train_ways: int | None = None
    """The classes of an episode of training, where they are not as many as of a measured one."""

    few: FewShot

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.task, FewShot):
            raise UserError(
                f"{type(self).__name__} learns from episodes, and the data ask for {type(self.task).__name__}: use --data Episodes"
            )
        self.few = self.task

    @property
    def batch_type(self) -> type:
        return EpisodeBatch

    @abstractmethod
    def answered(self, episode: Episode) -> Output:
        """The features (q, d) and logits (q, ways) of the queries of an episode, in their order."""

    def training_step(self, batch: EpisodeBatch, batch_idx: int) -> Tensor:
        return self.total({"task": self.task_loss(self.answered(batch.episode).logits, batch.episode.queries.y)})

    def validation_step(self, batch: Sample | Episode, batch_idx: int, dataloader_idx: int = 0) -> None:
        asked, output = self.asked(batch)
        self.log_epoch(self.measures.validate(self, asked, output, dataloader_idx))

    def test_step(self, batch: Sample | Episode, batch_idx: int, dataloader_idx: int = 0) -> None:
        asked, output = self.asked(batch)
        self.log_epoch(self.measures.test(self, asked, output, dataloader_idx))

    def asked(self, episode: Sample | Episode) -> tuple[Sample, Output]:
        """The queries of a measured episode, and their output."""
        assert isinstance(episode, Episode)
        output = self.answered(episode)
        return episode.queries, Output(output.features.detach(), output.logits.detach())
