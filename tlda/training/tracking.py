"""Where a run is logged: its own folder always, and W&B where it is installed."""

from __future__ import annotations

import importlib.util
import netrc
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from tlda.training.tolerance import going_on
from tlda.training.trained import Trained

LONGEST_NAME, LONGEST_TAG = 128, 64
"""How many characters W&B takes for the name of a run or a group, and for a tag."""


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
    return mode_because()[0]


def mode_because() -> tuple[str, str]:
    """The :func:`wandb_mode`, and why it is that."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode, "WANDB_MODE says so"
    if not _has_key():
        return "offline", "there is no key; `wandb sync` sends runs later"
    try:
        socket.create_connection(_server(), timeout=2).close()
    except OSError:
        return "offline", f"{_server()[0]} does not answer; `wandb sync` sends runs later"
    return "online", f"there is a key, and {_server()[0]} answers"


def ready() -> str | None:
    """W&B's mode, once it is set up to ask for no key and to print nothing; None where it is not installed or turned off."""
    mode = wandb_mode()
    if importlib.util.find_spec("wandb") is None or mode == "disabled":
        return None
    os.environ["WANDB_MODE"] = mode  # before wandb is imported, which would ask for a key otherwise
    os.environ.setdefault("WANDB_SILENT", "true")
    return mode


def loggers(folder: Path, group: str, tags: list[str], seed: object = 0, job_type: str = "fit") -> list[Logger]:
    """CSV in the run's ``folder``, and W&B, if installed, online when it can be and offline otherwise.

    At W&B the run is called by its ``tags``, which are the method and the transfer task, and its ``seed``.
    """
    csv = CSVLogger(folder, name="", version="")
    mode = ready()
    if mode is None:
        return [csv]
    from tlda.training.wandb_logger import Tracker

    _ = csv.experiment  # which takes the folder while it is empty, or warns of what W&B has put there
    options = named("-".join([*tags, str(seed)]), group, tags)
    place = os.environ.get("WANDB_DIR", str(folder))
    return [csv, Tracker(save_dir=place, offline=mode == "offline", job_type=job_type, **options)]


def named(name: str, group: str, tags: Sequence[str]) -> dict[str, Any]:
    """What W&B calls a run: as its own variables of the environment say, else so, cut to the lengths that it takes."""
    asked = os.environ.get("WANDB_TAGS", "").split(",")
    return {
        "project": os.environ.get("WANDB_PROJECT", "tlda"),
        "name": os.environ.get("WANDB_NAME") or _cut(name, LONGEST_NAME),
        "group": os.environ.get("WANDB_RUN_GROUP") or _cut(group, LONGEST_NAME),
        "tags": list(dict.fromkeys(_cut(tag.strip(), LONGEST_TAG) for tag in (*tags, *asked) if tag.strip())),
    }


def _cut(text: str, length: int) -> str:
    """``text``, of which the middle is left out where it is longer than ``length``: what tells two apart stands at either end."""
    return text if len(text) <= length else f"{text[: length // 2 - 1]}…{text[-(length - length // 2) :]}"


def flat_keys(config: dict[str, Any], **found_by: str | None) -> dict[str, Any]:
    """The configuration with keys of their own, by which a dashboard finds and groups runs.

    They are ``method`` and ``class``, which differ where a table gives the method another name, ``source``, ``target``, ``seed``, and
    those of ``found_by`` that are not None.
    """
    options: dict[str, Any] = config["data"].get("init_args") or {}
    while "source" not in options and isinstance(options.get("data"), dict):  # data that are made from others
        options = options["data"].get("init_args") or {}
    name = config["model"]["class_path"].rpartition(".")[2]
    keys = {"method": name, "class": name, "seed": config.get("seed_everything")}
    domains = {domain: options.get(domain) for domain in ("source", "target")}
    return {**config, **keys, **domains, **{key: value for key, value in found_by.items() if value is not None}}


def found_by(method: Trained, transfer: str | None) -> dict[str, str | None]:
    """What a run of ``method`` is found by beside its configuration: the setting, the transfer task, and the hash of the protocol."""
    return {"setting": method.setting, "transfer": transfer, "protocol": method.recipe.get("protocol")}


def log_picture(logger: Logger, name: str, file: Path, step: int) -> None:
    """Log the PNG ``file`` as the picture ``name`` to a ``logger`` that takes pictures: W&B's, TensorBoard's or MLflow's."""
    if isinstance(logger, WandbLogger):
        logger.log_image(name, [str(file)])
    elif isinstance(logger, TensorBoardLogger):
        from matplotlib.image import imread

        logger.experiment.add_image(name, imread(file), step, dataformats="HWC")
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(file), str(Path(name).parent))


def log_summary(folder: Path, group: str, tables: dict[str, tuple[list[str], list[list[str]]]], page: Path) -> None:
    """One W&B run beside the cells' of its ``group``, with ``tables`` (header and rows by name) and the HTML ``page``."""
    mode = ready()
    if mode is None:
        return
    import wandb

    place = Path(os.environ.get("WANDB_DIR", folder))
    place.mkdir(parents=True, exist_ok=True)
    with going_on():
        options = named(f"{group}-summary", group, [])
        run = wandb.init(job_type="summary", dir=str(place), mode=mode, config={"table": group}, **options)  # type: ignore[arg-type]
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
        with going_on():
            wandb.finish(exit_code)
