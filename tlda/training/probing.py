"""What features are worth while they are learnt without labels: a linear probe, nearest neighbours, and their spread."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tlda.batch import Inputs, Learner, Output, Sample
from tlda.errors import warn
from tlda.metrics.representations import feature_std, knn_accuracy, rank_me
from tlda.nn import evaluating
from tlda.tasks import Place, Task
from tlda.training.checkpoint import forget
from tlda.training.measured import Measured

ROWS = 2000
"""The labelled rows of the source that fit a probe and vote as neighbours, and the rows whose rank and spread are measured, at most."""

COLLAPSED = 0.05
"""The spread of features below which they say nothing of their rows."""


class Probe(nn.Module):
    """The head of ``task`` on standardised features, fitted to labels; nothing else learns from these.

    Args:
        task: what is asked.
        num_features: the width of the features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, task: Task, num_features: int) -> None:
        super().__init__()
        self.head = task.head(num_features).requires_grad_(False)
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("std", torch.ones(num_features))

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head((features - self.mean) / self.std)
        return logits

    def fit(self, task: Task, features: Tensor, labels: Tensor, decay: float = 1e-3, steps: int = 30) -> None:
        """Minimise the loss of ``task`` on features (n, d), and ``decay`` times the squared weights, by ``steps`` of L-BFGS from zero."""
        self.mean.copy_(features.mean(0))
        self.std.copy_(features.std(0, correction=0).clamp_min(1e-6))
        weights = list(self.head.parameters())
        for weight in weights if isinstance(self.head, nn.Linear) else ():
            nn.init.zeros_(weight)
        optimizer = torch.optim.LBFGS(weights, max_iter=steps, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = task.loss(self(features), labels) + decay * sum((weight.square().sum() for weight in weights), torch.zeros(()))
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        # Under a trainer's inference mode no backward pass could use the features.
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(features.device.type, enabled=False):
            self.head.requires_grad_(True)
            optimizer.step(closure)  # type: ignore[no-untyped-call]
            self.head.requires_grad_(False)
            self.head.zero_grad()


class Worth(nn.Module):
    """A :class:`Probe` of the source's labels, and what is measured of the features of each place beside its answers."""

    def __init__(self, task: Task, num_features: int) -> None:
        super().__init__()
        self.probe = Probe(task, num_features)
        self.bank: list[Tensor] | None = None
        self.seen: dict[int, list[tuple[Tensor, ...]]] = {}
        self.warned = False

    def fit(self, task: Task, method: Learner) -> None:
        """Fit the probe to features of the source's training rows, which vote as neighbours until the next fit."""
        kept: list[tuple[Tensor, ...]] = []
        with torch.inference_mode(False), evaluating(method.network):
            for batch in method.training_batches("source"):
                known = task.known(batch.y)
                kept.append((method.network.features(batch.x).float()[known], batch.y[known]))
                if sum(len(labels) for *_, labels in kept) >= ROWS:
                    break
            features, labels = self.bank = [rows[:ROWS].clone() for rows in _joined(kept)]
        self.probe.fit(task, features, labels)

    def see(self, index: int, features: Tensor, compared: Tensor, batch: Sample) -> None:
        """Keep features of a batch of the place ``index``, and what the loss would look at of them."""
        self.seen.setdefault(index, []).append((features.float(), compared.float(), batch.y))

    def measured(self, task: Task, places: list[Place], trained: bool) -> dict[str, Tensor]:
        """The measures by the names of their curves, and a new start for the next epoch; of ``trained`` features, a warning of collapse."""
        found: dict[str, Tensor] = {}
        for index, batches in self.seen.items():
            (features, compared, labels), place = _joined(batches), places[index]
            # Evenly spaced: rows may be stored class by class, and the first ones would be of a few classes.
            some = torch.linspace(0, len(labels) - 1, min(ROWS, len(labels))).round().long().to(features.device)
            spreads = {"feature_std": feature_std(features[some]), "projection_std": feature_std(compared[some])}
            found |= {f"val/{place.role}/{name}": value for name, value in {"rank_me": rank_me(features[some]), **spreads}.items()}
            known = task.known(labels)
            if task.classes and labels.ndim == 1 and self.bank is not None and known.any():
                parts = zip(torch.split(features[known], ROWS), torch.split(labels[known], ROWS), strict=True)
                right = [knn_accuracy(self.bank[0], self.bank[1], rows, own) * len(own) for rows, own in parts]
                found[f"{place.prefix('val')}/knn"] = torch.stack(right).sum() / known.sum()
            if trained and len(labels) > 1:
                self.warn(place.domain, float(min(spreads.values())))
        self.seen = {}
        return found

    def warn(self, domain: str, spread: float) -> None:
        """Warn once of features that say nothing of their rows."""
        if spread < COLLAPSED and not self.warned:
            self.warned = True
            warn(
                f"the features have collapsed: those of all rows of {domain} are nearly the same (spread {spread:.3f}, where that of "
                "independent ones is 1); lower the learning rate, or look for a stop of the gradient that is missing"
            )


def _joined(kept: list[tuple[Tensor, ...]]) -> list[Tensor]:
    return [torch.cat(parts) for parts in zip(*kept, strict=True)]


class Probed(Measured):
    """A module that answers by the probe of its ``worth``, which is fitted before each validation, and measures that."""

    worth: Worth

    def compared(self, features: Tensor) -> Tensor:
        """What the loss looks at of features (n, d)."""
        return features

    def forward(self, x: Inputs) -> Output:
        features = self.network.features(x)
        return Output(features, self.worth.probe(features.float()))

    def on_validation_epoch_start(self) -> None:
        learner: Any = self
        self.worth.fit(self.task, learner)

    def validation_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        output = self.answer(batch.x, self.measures.places[dataloader_idx].role)
        self.worth.see(dataloader_idx, output.features, self.compared(output.features), batch)
        self.log_epoch(self.measures.validate(self, batch, output, dataloader_idx))

    def on_validation_epoch_end(self) -> None:
        self.log_epoch(self.worth.measured(self.task, self.measures.places, trained=not self.trainer.sanity_checking))
        super().on_validation_epoch_end()

    def test_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        output = self.answer(batch.x, self.measures.places[dataloader_idx].role)
        self.worth.see(dataloader_idx, output.features, self.compared(output.features), batch)
        self.log_epoch(self.measures.test(self, batch, output, dataloader_idx))

    def on_test_epoch_end(self) -> None:
        """Log the answers of the nearest neighbours, where this process has fitted the probe and kept them."""
        found = self.worth.measured(self.task, self.measures.places, trained=False)
        self.log_epoch({f"test/{name.split('/', 1)[1]}": value for name, value in found.items() if name.endswith("/knn")})

    def on_train_epoch_end(self) -> None:
        if not self.trainer.enable_validation:
            self.on_validation_epoch_start()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        forget(checkpoint, "network.head.")
