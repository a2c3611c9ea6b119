"""One run, from a configuration: LightningCLI with this project's defaults, folders and error messages."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

import tlda.data
import tlda.losses
import tlda.methods  # noqa: F401  (imported, so that their classes have short names)
from tlda import checkpoint
from tlda.data.pair import DomainPair
from tlda.errors import UserError
from tlda.method import Method
from tlda.parsing import sentence
from tlda.predictions import write_predictions
from tlda.quiet import hush
from tlda.report.pictures import Pictures
from tlda.tracking import loggers


def default_precision() -> str:
    """``bf16-mixed`` where the hardware computes in bfloat16, else ``32-true``."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    return "bf16-mixed" if torch.cpu._is_avx512_bf16_supported() else "32-true"


class SaveConfig(SaveConfigCallback):
    """Writes the resolved configuration into the run's folder and to every logger."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        config = yaml.safe_load(self.parser.dump(self.config, skip_none=False, format="yaml"))
        for logger in trainer.loggers:
            logger.log_hyperparams(config)


class Run(LightningCLI):
    """A method, a pair of domains and a trainer, from a command line (``run``) or from a dictionary."""

    def __init__(self, args: Any, run: bool) -> None:
        hush()
        quiet_exit = {"exit_on_error": False}
        super().__init__(
            Method,
            DomainPair,
            save_config_callback=SaveConfig if run else None,
            save_config_kwargs={"overwrite": True},
            trainer_defaults={
                "precision": default_precision(),
                "enable_model_summary": False,
                "use_distributed_sampler": False,  # Steps and InOrder shard by themselves
                "max_epochs": 10,
            },
            seed_everything_default=0,
            parser_kwargs=quiet_exit | dict.fromkeys(self.subcommands(), quiet_exit) if run else quiet_exit,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,  # the checkpoint carries its own plain recipe
            args=args,
            run=run,
        )

    @classmethod
    def from_command_line(cls, args: list[str]) -> Run:
        """Parse ``args``, whose first is the subcommand, and run it."""
        return cls(_with_checkpoint(args), run=True)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Run:
        """Build, but do not run, what ``config`` describes."""
        return cls(config, run=False)

    # Parsing

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("data.num_classes", "model.init_args.num_classes", apply_on="instantiate")

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "predict":
            parser.add_argument("--output", type=str, default="predictions.csv", help="The CSV that is written.")
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        try:
            self.config = parser.parse_object(args) if isinstance(args, dict) else parser.parse_args(args)
        except argparse.ArgumentError as error:
            known = {name.lstrip("-") for action in self._parsers(args) for name in action.option_strings}
            raise UserError(sentence(str(error), known)) from error

    def _parsers(self, args: Any) -> list[Any]:
        parser = self._subcommand_parsers.get(args[0], self.parser) if isinstance(args, list) else self.parser
        return list(parser._actions)

    def _parse_ckpt_path(self) -> None:
        """The checkpoint's options stand before the command's own already: see :func:`_with_checkpoint`."""

    # Instantiation

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        self.model.recipe = self.recipe()

    def recipe(self) -> dict[str, Any]:
        """The resolved configuration of model and data, as plain data."""
        dumped = yaml.safe_load(self._parser(self.subcommand).dump(self.options, skip_none=False, format="yaml"))
        return {part: dumped[part] for part in ("model", "data")}

    @property
    def options(self) -> Any:
        """The parsed options of the subcommand."""
        return self.config[self.subcommand] if self.subcommand else self.config

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        options = self.options.trainer
        if self.subcommand and not options.fast_dev_run:
            folder = make_folder(options.default_root_dir, self.model, self.datamodule, self.options.seed_everything)
            kwargs |= {"default_root_dir": str(folder)}
            if options.logger in (None, True):
                kwargs["logger"] = loggers(folder, self.datamodule.task, [type(self.model).__name__, self.datamodule.task])
            if self.subcommand == "fit" and options.enable_checkpointing is not False:
                self.trainer_defaults["callbacks"] = [
                    ModelCheckpoint(folder / "checkpoints", filename="last", enable_version_counter=False),
                    Pictures(folder),
                ]
        trainer: Trainer = super().instantiate_trainer(**kwargs)
        return trainer

    # After the subcommands

    def after_fit(self) -> None:
        print(f"tlda: the run is in {self.trainer.default_root_dir}")

    def after_predict(self) -> None:
        write_predictions(self.options.output, self.trainer.predict_loop.predictions, self.datamodule)
        print(f"tlda: wrote {self.options.output}")


def make_folder(root: str | None, method: Method, data: DomainPair, seed: Any) -> Path:
    """A new folder for a run, ``ROOT/TASK/METHOD/SEED-TIME``, where ROOT is ``runs`` by default."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = Path(root or "runs") / data.task / type(method).__name__ / f"{seed}-{stamp}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"cannot write into {folder} ({error.strerror}): free space, or name another folder with --trainer.default_root_dir"
        ) from error
    return folder


def _with_checkpoint(args: list[str]) -> list[str]:
    """``args`` after the options that their ``--ckpt_path`` was trained with, so that what the command says wins, and is said."""
    path = _value(args, "--ckpt_path")
    if path is None:
        return args
    found = checkpoint.read(path).get(checkpoint.KEY, {})
    before = [f"--{part}={json.dumps(found[part])}" for part in ("model", "data") if part in found]
    if before:
        print("tlda: model and data options come from the checkpoint, except those that the command names")
    return [args[0], *before, *args[1:]]


def _value(args: list[str], option: str) -> str | None:
    for i, arg in enumerate(args):
        if arg == option and i + 1 < len(args):
            return args[i + 1]
        if arg.startswith(option + "="):
            return arg.split("=", 1)[1]
    return None
