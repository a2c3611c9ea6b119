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


def ready() -> str | None:
    """W&B's mode, once it is set up to ask for no key and to print nothing; None where it is not installed or turned off."""
    mode = wandb_mode()
    if importlib.util.find_spec("wandb") is None or mode == "disabled":
        return None
    os.environ["WANDB_MODE"] = mode  # before wandb is imported, which would ask for a key otherwise
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    wandb.setup()  # only now is it silent; what follows would print a warning about Lightning
    return mode


def loggers(folder: Path, group: str, tags: list[str]) -> list[Logger]:
    """CSV in the run's ``folder``, and W&B, if installed, online when it can be and offline otherwise."""
    csv = CSVLogger(folder, name="", version="")
    mode = ready()
    if mode is None:
        return [csv]
    from pytorch_lightning.loggers import WandbLogger

    _ = csv.experiment  # which takes the folder while it is empty, or warns of what W&B has put there
    name = "-".join([*tags, folder.name])
    return [csv, WandbLogger(project="tlda", name=name, group=group, tags=tags, save_dir=str(folder), offline=mode == "offline")]


def log_summary(folder: Path, group: str, tables: dict[str, tuple[list[str], list[list[str]]]], page: Path) -> None:
    """One W&B run beside the cells' of its ``group``, with ``tables`` (header and rows by name) and the HTML ``page``."""
    mode = ready()
    if mode is None:
        return
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    run = wandb.init(project="tlda", name=f"{group}-summary", group=group, job_type="summary", dir=str(folder), mode=mode)  # type: ignore[arg-type]
    run.log({name: wandb.Table(columns=header, data=rows) for name, (header, rows) in tables.items()} | {"page": wandb.Html(str(page))})
    run.finish()


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
