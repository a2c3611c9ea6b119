"""Where a run is logged: its own folder always, and W&B where it is installed."""

from __future__ import annotations

import importlib.util
import netrc
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pytorch_lightning.loggers import CSVLogger, Logger


def _server() -> tuple[str, int]:
    url = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    return url.hostname or "api.wandb.ai", url.port or (80 if url.scheme == "http" else 443)


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(_server()[0]) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def wandb_mode() -> str:
    """``WANDB_MODE`` where it is set; else ``online`` where there is a key and the server answers, else ``offline``."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    if not _has_key():
        return "offline"
    try:
        socket.create_connection(_server(), timeout=2).close()
    except OSError:
        return "offline"
    return "online"


def loggers(folder: Path, group: str, tags: list[str]) -> list[Logger]:
    """CSV in the run's ``folder``, and W&B, if installed, online when it can be and offline otherwise."""
    csv = CSVLogger(folder, name="", version="")
    mode = wandb_mode()
    if importlib.util.find_spec("wandb") is None or mode == "disabled":
        return [csv]
    os.environ["WANDB_MODE"] = mode  # before wandb is imported, which would ask for a key otherwise
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    wandb.setup()  # only now is it silent; what follows would print a warning about Lightning
    _ = csv.experiment  # which takes the folder while it is empty, or warns of what W&B has put there
    name = "-".join([*tags, folder.name])
    return [csv, WandbLogger(project="tlda", name=name, group=group, tags=tags, save_dir=str(folder), offline=mode == "offline")]


@contextmanager
def closed() -> Iterator[None]:
    """Close the W&B run that the block logs to, if any, as finished or as failed."""
    try:
        yield
    except BaseException:
        _close(1)
        raise
    _close(0)


def _close(exit_code: int) -> None:
    if wandb := sys.modules.get("wandb"):
        wandb.finish(exit_code)
