"""Silence what is not ours to say."""

from __future__ import annotations

import logging
import warnings

NOISE = (
    r".*does not have many workers which may be a bottleneck.*",
    r".*smaller than the logging interval.*",
    r".*is an instance of `nn.Module` and is already saved during checkpointing.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*[Ii]mporting from timm.models.*",
    r".*isinstance.treespec, LeafSpec.*",
    r".*lr_scheduler.step.*",
    r".*resuming from a checkpoint that ended before the epoch ended.*",  # Steps goes on within one
    r".*no pre-optimization state was saved.*",
    r".*Consider setting `batch_size` when logging.*",
)


class _NoTips(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return "Tip:" not in record.getMessage()


def hush() -> None:
    """Drop Lightning's advertisement and warnings that do not apply here, and those of timm and torchvision."""
    for message in NOISE:
        warnings.filterwarnings("ignore", message)
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).addFilter(_NoTips())


def silence() -> None:
    """Drop Lightning's information lines too, where many short runs follow each other."""
    import pytorch_lightning  # noqa: F401  (its import sets the levels that are set anew here)

    hush()
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
