"""Where a run is logged: its own folder always, and W&B where it is installed."""

from __future__ import annotations

import importlib.util
import netrc
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from pytorch_lightning.loggers import CSVLogger, Logger


def _host() -> str:
    return urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or "api.wandb.ai"


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators(_host()) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def wandb_mode() -> str:
    """``WANDB_MODE`` where it is set; else ``online`` where there is a key and the server answers, else ``offline``."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    if not _has_key():
        return "offline"
    try:
        socket.create_connection((_host(), 443), timeout=2).close()
    except OSError:
        return "offline"
    return "online"


def loggers(folder: Path, group: str, tags: list[str]) -> list[Logger]:
    """CSV in the run's ``folder``, and W&B, if installed, online when it can be and offline otherwise."""
    found: list[Logger] = [CSVLogger(folder, name="", version="")]
    mode = wandb_mode()
    if importlib.util.find_spec("wandb") is None or mode == "disabled":
        return found
    os.environ["WANDB_MODE"] = mode  # before wandb is imported, which would ask for a key otherwise
    os.environ.setdefault("WANDB_SILENT", "true")
    from pytorch_lightning.loggers import WandbLogger

    name = "-".join([*tags, folder.name])
    return [*found, WandbLogger(project="tlda", name=name, group=group, tags=tags, save_dir=str(folder), offline=mode == "offline")]
