"""Pictures of a finished run: the confusion matrix on the target, and the features of both domains."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor

ROWS = 500
"""The rows of each domain in the picture of the features."""


class Pictures(Callback):
    """At the end of training, draw the run into its ``folder`` and log the pictures to W&B."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        names = data.class_names
        outputs = [collect(pl_module, data, loader) for loader in data.val_dataloader()]
        figures = {
            "confusion": confusion_figure(outputs[1][1], outputs[1][2], names),
            "features": features_figure([o[0] for o in outputs], [o[2] for o in outputs], names),
        }
        for name, figure in figures.items():
            figure.savefig(self.folder / f"{name}.png", dpi=150)
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.log_image(f"pictures/{name}", [str(self.folder / f"{name}.png")])


@torch.no_grad()
def collect(method: Any, data: Any, loader: Iterable[Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Features (n, d), predicted classes (n,) and labels (n,) of a loader's rows, on the CPU."""
    training = method.training
    method.eval()
    parts = []
    for batch in loader:
        batch = data.on_after_batch_transfer(type(batch)(*(part.to(method.device) for part in batch)), 0)
        output = method(batch.x)
        parts.append((output.features.float().cpu(), output.logits.argmax(1).cpu(), batch.y.cpu()))
    method.train(training)
    features, predicted, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    return features, predicted, labels


def _axes(width: float = 5.2, height: float = 4.6, columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height), layout="constrained")
    return figure, figure.subplots(1, columns)


def confusion_figure(predicted: Tensor, labels: Tensor, names: list[str]) -> Any:
    """A matplotlib figure of the rows' share by true class (down) and predicted class (across)."""
    from sklearn.metrics import confusion_matrix

    share = confusion_matrix(labels, predicted, labels=range(len(names)), normalize="true")
    figure, axes = _axes()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(ticks, names)
    axes.set(xlabel="predicted class", ylabel="true class", title="Confusion on the target (share of each true class)")
    figure.colorbar(image)
    return figure


def features_figure(features: list[Tensor], labels: list[Tensor], names: list[str]) -> Any:
    """A matplotlib figure of both domains' features in two dimensions (t-SNE), by domain and by class."""
    from sklearn.manifold import TSNE

    few = [torch.randperm(len(f), generator=torch.Generator().manual_seed(0))[:ROWS] for f in features]
    chosen = torch.cat([f[rows] for f, rows in zip(features, few, strict=True)])
    classes = torch.cat([y[rows] for y, rows in zip(labels, few, strict=True)])
    domains = torch.cat([torch.full((len(rows),), i) for i, rows in enumerate(few)])
    perplexity = min(30.0, max(1.0, (len(chosen) - 1) / 3))
    places = TSNE(perplexity=perplexity, random_state=0, init="pca" if chosen.std() > 0 else "random").fit_transform(chosen)
    figure, (left, right) = _axes(columns=2)
    for i, name in enumerate(("source", "target")):
        left.scatter(*places[domains == i].T, s=6, label=name)
    left.legend()
    left.set_title("Features by domain: mixed where they are aligned")
    for c, name in enumerate(names[:20]):
        right.scatter(*places[classes == c].T, s=6, label=name, color=f"C{c % 10}")
    right.legend(fontsize=7)
    right.set_title("The same by class: clusters where they are told apart")
    for axes in (left, right):
        axes.set(xticks=[], yticks=[])
    return figure
