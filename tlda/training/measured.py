"""The steps of validation, test and prediction, which all methods share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from tlda.batch import Output, Prediction, Sample
from tlda.errors import UserError
from tlda.options.recorded import Recorded
from tlda.tasks.measures import Measures
from tlda.tasks.next_token import answers_of
from tlda.training.companions import refuse_unmeasured
from tlda.training.lightning import QuickNotes
from tlda.training.streaming import Passed, forget, stream_of
from tlda.training.trained import Trained


class Measured(QuickNotes, Recorded, Trained):
    """A module whose answers are measured: one hook, :meth:`answer`, gives the output in validation, test, prediction and report."""

    measures: Measures
    passed: Passed
    """What has passed of the stream that is tested."""

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Self:
        """The method of a checkpoint, as ``tlda.load`` makes it from the checkpoint alone, on the device ``map_location``.

        Options in ``kwargs`` are those of the class, for a method whose own options no checkpoint can carry; see Lightning's.

        Raises:
            UserError: the checkpoint holds another method.
        """
        if args or kwargs:
            return super().load_from_checkpoint(checkpoint_path, map_location, *args, **kwargs)
        import tlda  # the front door, which stands above: whoever calls this expects what it gives

        method = tlda.load(checkpoint_path)
        if not isinstance(method, cls):
            raise UserError(f"{checkpoint_path} holds {type(method).__name__}, not {cls.__name__}: load it as that, or by tlda.load")
        return method.to(map_location)

    @property
    def is_fitting(self) -> bool:
        """Whether the trainer trains, or validates between epochs: what adapts at test time does not do so then, and does after it."""
        return self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING and not self._trainer.state.finished

    @property
    def is_validated(self) -> bool:
        """Whether the trainer validates, in training or by itself."""
        return self._trainer is not None and (self._trainer.validating or self._trainer.sanity_checking)

    def answer(self, x: Any, domain: str) -> Output:
        """The output for inputs of a ``domain``, ``source`` or ``target``, in validation, test, prediction and report.

        A method that adapts at test time, or that translates, does so here.
        """
        output: Output = self(x)
        return output

    def validation_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        output = self.answer(batch.x, self.measures.places[dataloader_idx].role)
        self.log_epoch(self.measures.validate(self, batch, output, dataloader_idx))

    def on_validation_epoch_end(self) -> None:
        self.log_epoch(self.measures.validated())
        refuse_unmeasured(self)

    def test_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        role = self.measures.places[dataloader_idx].role
        stream = stream_of(self) if role == "target" else None
        if stream and self.passed.starts_over(stream, batch):
            forget(self)
        output = self.answer(batch.x, role)
        self.log_epoch(self.measures.test(self, batch, output, dataloader_idx))
        if stream:
            self.passed.count(self.task, batch, output)

    def on_test_epoch_start(self) -> None:
        self.passed = Passed()

    def on_test_epoch_end(self) -> None:
        if stream := stream_of(self):
            self.log_epoch(self.passed.by_shift(stream))

    def log_epoch(self, values: Mapping[str, Any]) -> None:
        """Log metrics, or values that all processes have alike, once an epoch; what selects is in the progress bar."""
        for name, value in values.items():
            bar = name.endswith(self.task.headline) and not name.startswith("test")
            self.log(name, value, on_step=False, on_epoch=True, add_dataloader_idx=False, prog_bar=bar, sync_dist=isinstance(value, Tensor))

    def predict_step(self, batch: Sample, batch_idx: int) -> Prediction:
        output = self.answer(batch.x, "target")
        features = output.features
        if len(features) != len(batch.row):  # an answer is of an image with many rows
            features = features.view(len(batch.row), -1, features.shape[1]).mean(1)
        return Prediction(batch.row, answers_of(self.task, lambda x: self.answer(x, "target"), output, batch.x), features)
