"""One run, from a configuration: LightningCLI with this project's defaults, folders and error messages."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.plugins import CheckpointIO

import tlda.data
import tlda.losses
import tlda.methods  # noqa: F401  (imported, so that their classes have short names)
from tlda.config.overlays import read_yaml, require_config
from tlda.config.protocol import with_protocol
from tlda.config.ranges import require_ranges
from tlda.config.sentences import explained
from tlda.data.pair import DomainPair
from tlda.errors import UserError
from tlda.method import Method
from tlda.nn import computes_in_bfloat16
from tlda.report.pictures import Pictures
from tlda.training import checkpoint
from tlda.training.last import LastCheckpoint, WholeFiles
from tlda.training.lightning import Progress, Unprofiled
from tlda.training.predictions import Predictions
from tlda.training.quiet import hush
from tlda.training.tracking import closed, flat_keys, loggers
from tlda.writing import require_writable, write_text


def default_precision() -> str:
    """``bf16-mixed`` where the hardware computes in bfloat16, else ``32-true``."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return "bf16-mixed" if computes_in_bfloat16(device) else "32-true"


class SaveConfig(SaveConfigCallback):
    """Writes the resolved configuration into the run's folder and to every logger."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        dumped = self.parser.dump(self.config, skip_none=False, format="yaml")
        write_text(Path(trainer.default_root_dir) / "config.yaml", dumped)
        config = yaml.safe_load(dumped)
        for logger in trainer.loggers:
            logger.log_hyperparams(flat_keys(config))


class Run(LightningCLI):
    """A method, a pair of domains and a trainer, from a command line whose first argument is the subcommand."""

    def __init__(self, args: list[str]) -> None:
        hush()
        # An abbreviation that works today is another option's name tomorrow.
        strict = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            Method,
            DomainPair,
            save_config_callback=SaveConfig,
            save_config_kwargs={"save_to_log_dir": False},
            trainer_defaults={
                "precision": default_precision(),
                "enable_model_summary": False,
                "use_distributed_sampler": False,  # Steps and Once shard by themselves
                "max_epochs": 10,
            },
            seed_everything_default=0,
            parser_kwargs=strict | dict.fromkeys(self.subcommands(), strict),
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,  # the checkpoint carries its own plain recipe
            args=args,
        )

    @classmethod
    def from_command_line(cls, args: list[str]) -> Run:
        """Parse ``args``, whose first is the subcommand, and run it."""
        try:
            with closed():
                return cls(_with_checkpoint(args))
        except MisconfigurationException as error:
            raise UserError(f"the trainer refuses: {' '.join(str(error).split())}") from error

    # Parsing

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("data.num_classes", "model.init_args.num_classes", apply_on="instantiate")

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "predict":
            parser.add_argument("--output", type=str, default="predictions.csv", help="The CSV that is written.")
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        known = [name.lstrip("-") for action in self._subcommand_parsers[args[0]]._actions for name in action.option_strings]
        if _values(args, "--model.num_classes", "--model.init_args.num_classes"):
            raise UserError("--model.num_classes is the data's number of classes: leave it out, or choose classes with --data.classes")
        for path in _values(args, "-c", "--config"):
            require_config(path, read_yaml(path), known)
        with explained(known):
            self.config = parser.parse_args(args)
        require_ranges(self.config[args[0]])

    def _parse_ckpt_path(self) -> None:
        """The checkpoint's options stand before the command's own already: see :func:`_with_checkpoint`."""

    # Instantiation

    def instantiate_classes(self) -> None:
        with explained():
            super().instantiate_classes()
        self.model.recipe = self.recipe()

    def recipe(self) -> dict[str, Any]:
        """The resolved configuration of model and data, as plain data, and the hash of the protocol."""
        dumped = yaml.safe_load(self._parser(self.subcommand).dump(self.options, skip_none=False, format="yaml"))
        return with_protocol({part: dumped[part] for part in ("model", "data")}, dumped["trainer"])

    @property
    def options(self) -> Any:
        """The parsed options of the subcommand."""
        return self.config[self.subcommand]

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        options = self.options.trainer
        if self.subcommand == "predict" or options.fast_dev_run:
            # Nothing is kept but the predictions.
            self.save_config_callback = None
            kwargs |= {"logger": False, "enable_checkpointing": False}
            if self.subcommand == "predict":
                self.trainer_defaults["callbacks"] = [Predictions(self.options.output)]
        else:
            kwargs |= self._kept(make_folder(options.default_root_dir, self.model, self.datamodule, self.options.seed_everything))
        if options.profiler is None:
            kwargs["profiler"] = Unprofiled()
        try:
            trainer: Trainer = super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ValueError, RuntimeError, ImportError) as error:
            raise UserError(f"the --trainer options make no trainer: {' '.join(str(error).split())}") from error
        return trainer

    def _kept(self, folder: Path) -> dict[str, Any]:
        """The trainer's options that keep a run in ``folder``."""
        options = self.options.trainer
        kept: dict[str, Any] = {"default_root_dir": str(folder)}
        if options.logger in (None, True):
            kept["logger"] = loggers(folder, self.datamodule.task, [type(self.model).__name__, self.datamodule.task])
        if self.subcommand != "fit" or options.enable_checkpointing is False:
            return kept | {"enable_checkpointing": False}
        made = self._get(self.config_init, "trainer")
        given, plugins = (one_or_more(made.get(name)) for name in ("callbacks", "plugins"))
        own_bar = options.enable_progress_bar is False or any(isinstance(callback, ProgressBar) for callback in given)
        self.trainer_defaults["callbacks"] = [LastCheckpoint(folder), Pictures(folder), *([] if own_bar else [Progress()])]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            kept["plugins"] = [*plugins, WholeFiles()]
        return kept

    # Around the subcommands

    def _say_where(self) -> None:
        if self.save_config_callback and self.trainer.is_global_zero:
            print(f"tlda: the run is in {self.trainer.default_root_dir}")

    after_validate = after_test = _say_where

    def after_fit(self) -> None:
        if self.save_config_callback:
            self.trainer.test(self.model, self.datamodule)
        self._say_where()

    def before_predict(self) -> None:
        require_writable(Path(self.options.output).parent, "--output")

    def after_predict(self) -> None:
        if self.trainer.is_global_zero:
            print(f"tlda: wrote {self.options.output}")


def one_or_more(value: Any) -> list[Any]:
    """An option that takes one thing or a list of them, as a list."""
    return [] if value is None else [*value] if isinstance(value, (list, tuple)) else [value]


def make_folder(root: str | None, method: Method, data: DomainPair, seed: Any) -> Path:
    """A new folder for a run, ``ROOT/TASK/METHOD/SEED-TIME``, where ROOT is ``runs`` by default."""
    if "LOCAL_RANK" not in os.environ:
        # The processes that Lightning starts beside this one inherit it, and so write into the same folder.
        os.environ["TLDA_RUN"] = f"{datetime.now():%Y%m%d-%H%M%S-%f}"
    stamp = os.environ.get("TLDA_RUN", f"{datetime.now():%Y%m%d-%H%M}")
    folder = Path(root or "runs") / data.task / type(method).__name__ / f"{seed}-{stamp}"
    require_writable(folder, "--trainer.default_root_dir")
    return folder


def _with_checkpoint(args: list[str]) -> list[str]:
    """``args`` after the options that their ``--ckpt_path`` was trained with, so that what the command says wins, and is said."""
    paths = _values(args, "--ckpt_path")
    if not paths:
        return args
    found = checkpoint.recipe(paths[-1])
    if "model" in found:
        found["model"]["init_args"]["init_from"] = None  # its weights are in the checkpoint, and the file may be gone
    if "model" in found and args[0] != "fit":  # a run that goes on says what it began with
        found["model"] = checkpoint.without_files(found["model"])
    options = {"model": "model", "data": "data", "seed": "seed_everything"}
    before = [f"--{option}={json.dumps(found[part])}" for part, option in options.items() if part in found]
    if before:
        print("tlda: options of model and data, and the seed, come from the checkpoint, except those that the command names")
    return [args[0], *before, *args[1:]]


def _values(args: list[str], *options: str) -> list[str]:
    """What ``args`` give to the ``options``, as ``--option value`` or ``--option=value``."""
    pairs = [arg.split("=", 1) if "=" in arg else [arg, *args[i + 1 : i + 2]] for i, arg in enumerate(args)]
    return [pair[1] for pair in pairs if pair[0] in options and len(pair) > 1]
