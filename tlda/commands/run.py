"""One run, from a configuration: LightningCLI with this project's defaults, folders and error messages."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.utilities.exceptions import SIGTERMException

import tlda.data
import tlda.losses
import tlda.methods
import tlda.rl  # noqa: F401  (imported, so that their classes have short names)
from tlda.commands.running import (
    companions,
    folder_of,
    logged,
    no_trainer,
    refusals,
    remove_empty,
    run_stamp,
    trainer_defaults,
    whole_files,
)
from tlda.config.build import new_inputs
from tlda.config.given import configurations, last_of, values
from tlda.config.going_on import last_checkpoint, require_same_run, require_unfinished, with_checkpoint
from tlda.config.overlays import require_config
from tlda.config.protocol import with_protocol
from tlda.config.ranges import require_ranges, require_seed, require_trainer_ranges
from tlda.config.sentences import explained
from tlda.data.pair import DomainPair
from tlda.errors import UserError
from tlda.method import Method
from tlda.network import OWN
from tlda.tasks import Task
from tlda.training.lightning import Unprofiled, print_whole_names, transfer_of
from tlda.training.predictions import Predictions
from tlda.training.quiet import hush
from tlda.training.tracking import closed, flat_keys, found_by
from tlda.training.wandb_logger import log_checkpoints
from tlda.training.written import outcome, write_outcome
from tlda.writing import require_writable, write_text


class SaveConfig(SaveConfigCallback):
    """Writes the resolved configuration into the run's folder and to every logger."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write what the run can be trained again by."""
        config = self.config.clone()
        for name in ("output", "wandb_checkpoints"):  # no setting of the run, which can be trained again by its configuration
            config.pop(name, None)
        dumped = self.parser.dump(config, skip_none=False, format="yaml", skip_validation=True)
        write_text(Path(trainer.default_root_dir) / "config.yaml", dumped)
        plain = yaml.safe_load(dumped)
        model: Any = pl_module
        for logger in trainer.loggers:
            logger.log_hyperparams(flat_keys(plain, **found_by(model, transfer_of(trainer))))


class Run(LightningCLI):
    """A method, a pair of domains and a trainer, from a command line whose first argument is the subcommand."""

    def __init__(self, args: list[str]) -> None:
        hush()
        print_whole_names()
        self.new_inputs: DomainPair | None = None
        self.new: list[Path] = []  # the folders that the run makes, the innermost first
        self.checkpoint = last_checkpoint(args)
        self.command = args
        self.inputs = last_of("inputs", args) if args[0] == "predict" else None
        # An abbreviation that works today is another option's name tomorrow.
        strict = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            Method,
            DomainPair,
            save_config_callback=SaveConfig,
            save_config_kwargs={"save_to_log_dir": False},
            trainer_defaults=trainer_defaults(),
            seed_everything_default=0,
            parser_kwargs=strict | dict.fromkeys(self.subcommands(), strict),
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,  # the checkpoint carries its own plain recipe
            args=args if self.checkpoint is None else with_checkpoint(args, self.checkpoint),
        )

    @classmethod
    def from_command_line(cls, args: list[str]) -> Run:
        """Parse ``args``, whose first is the subcommand, and run it."""
        try:
            with closed(), refusals():
                return cls(args)
        except SIGTERMException as told:
            print("tlda: told to stop; --ckpt_path with the run's checkpoints/last.ckpt goes on", file=sys.stderr)
            raise SystemExit(128 + signal.SIGTERM) from told

    # Parsing

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        if self.inputs is None:
            parser.link_arguments("data.task", "model.init_args.task", apply_on="instantiate")
        else:
            parser.link_arguments("data", "model.init_args.task", compute_fn=self._task_of_inputs, apply_on="instantiate")

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        """Add the subcommand of this command alone: to make the parsers of all would take as long as everything else."""
        name, known = self.command[0], parser.add_subcommands()
        self._subcommand_parsers = {name: self._prepare_subcommand_parser(Trainer, name, **kwargs.get(name, {}))}
        known.add_subcommand(name, self._subcommand_parsers[name])

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "predict":
            parser.add_argument("--inputs", type=str, default=None, help="New inputs, which need no source; by default the target.")
            parser.add_argument(
                "--output",
                type=str,
                default="predictions.csv",
                help="The CSV that is written; of boxes a .json, in the layout of COCO, too.",
            )
            parser.add_argument("--features", type=str, default=None, help="The .npy, .npz or .parquet of features that is written.")
        if subcommand == "fit":
            parser.add_argument("--wandb-checkpoints", type=bool, default=False, help="Log the checkpoints to W&B.")
        if subcommand == "test":
            parser.add_argument("--output", type=str, default=None, help="The JSON that is written.")
        return parser

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning's has no instance to ask
        """The subcommand of this run alone, as others' parsers cost time, and the arguments of the trainer's method that are no options."""
        asked = self.command[0]
        return {asked: LightningCLI.subcommands()[asked] | {"weights_only", "verbose", "return_predictions"}}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Check the names in files and arguments, parse them, and check the ranges; each fault is one sentence."""
        hidden = {"h", "help", "c", "config", "print_config"}
        known = [name.lstrip("-") for action in self._subcommand_parsers[args[0]]._actions for name in action.option_strings]
        if values(args, "model.task", "model.init_args.task"):
            raise UserError("--model.task is what the data ask for: leave it out, or choose classes with --data.classes")
        for path, config in configurations(args):
            require_config(path, config, {*known} - hidden)
        with explained(known):
            self.config = parser.parse_args(args)
        options = self.config[args[0]]
        require_ranges(options)
        require_trainer_ranges(options.trainer)
        require_seed(options.seed_everything)
        if args[0] != "fit" and self.checkpoint is None:
            require_trained(args, options.model)

    def _parse_ckpt_path(self) -> None:
        """The checkpoint's options stand before the command's own already: see :func:`with_checkpoint`."""
        if self.checkpoint is not None:
            self.config[self.config.subcommand].model.init_args.init_from = None  # all weights are in the checkpoint

    # Instantiation

    def before_instantiate_classes(self) -> None:
        """Refuse a checkpoint whose run is another one or has ended, and say which options it gives."""
        if self.checkpoint is None:
            return
        if self.subcommand == "fit":
            require_same_run(self.checkpoint, self.command, self.plain())
            require_unfinished(self.checkpoint, self.options.trainer)
        print("tlda: options of model and data, and the seed, come from the checkpoint, except those that the command names")

    def instantiate_classes(self) -> None:
        with explained(), self._without_data():
            super().instantiate_classes()
        self.datamodule = self.new_inputs or self.datamodule
        self.model.recipe = self.recipe()

    @contextmanager
    def _without_data(self) -> Iterator[None]:
        """Say, where a checkpoint is to predict and its data cannot be read, how new inputs are predicted."""
        try:
            yield
        except UserError as error:
            if self.subcommand != "predict" or self.inputs is not None or self.checkpoint is None:
                raise
            raise UserError(f"{error}; new inputs need neither source nor target: name their folder or file by --inputs") from error

    def _task_of_inputs(self, data: DomainPair) -> Task:
        """The task of the new inputs, which are read as ``data``: that of the checkpoint."""
        if self.checkpoint is None or self.inputs is None:
            raise UserError("--inputs needs --ckpt_path, the folder of a run: its checkpoint holds the names of the classes")
        self.new_inputs = new_inputs(self.checkpoint, self.inputs, data)
        return self.new_inputs.task

    def recipe(self) -> dict[str, Any]:
        """The resolved configuration of model and data, as plain data, and the hash of the protocol."""
        dumped = self.plain()
        return with_protocol({part: dumped[part] for part in ("model", "data")}, dumped["trainer"])

    def plain(self) -> dict[str, Any]:
        """The resolved configuration of the subcommand as plain data."""
        whole: dict[str, Any] = {"skip_none": False, "format": "yaml", "skip_validation": True}  # the parser has just validated it
        found: dict[str, Any] = yaml.safe_load(self._parser(self.subcommand).dump(self.options, **whole))
        return found

    @property
    def options(self) -> Namespace:
        """The parsed options of the subcommand."""
        options: Namespace = self.config[self.subcommand]
        return options

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer, with the folder of the run, except where nothing but predictions is kept."""
        options = self.options.trainer
        if self.subcommand == "predict" or options.fast_dev_run:
            # Nothing is kept but the predictions.
            self.save_config_callback = None
            kwargs |= {"logger": False, "enable_checkpointing": False}
            if self.subcommand == "predict":
                self.trainer_defaults["callbacks"] = [Predictions(self.options.output, self.options.features)]
        else:
            seed, stamp = self.options.seed_everything, run_stamp(self.command)
            folder = folder_of(options.default_root_dir, self.model, self.datamodule, seed, stamp)
            self.new = [place for place in (folder / "checkpoints", folder, *folder.parents) if not place.exists()]
            require_writable(folder, "--trainer.default_root_dir")
            kwargs |= self._kept(folder)
        if options.profiler is None:
            kwargs["profiler"] = Unprofiled()
        with no_trainer():
            trainer: Trainer = super().instantiate_trainer(**kwargs)
        return trainer

    def _kept(self, folder: Path) -> dict[str, Any]:
        """The trainer's options that keep a run in ``folder``."""
        options = self.options.trainer
        seed, what = self.options.seed_everything, str(self.subcommand)
        kept = logged(folder, self.model, self.datamodule, seed, what) if options.logger in (None, True) else {}
        kept |= {"default_root_dir": str(folder)}
        if self.subcommand != "fit" or options.enable_checkpointing is False:
            return kept | {"enable_checkpointing": False}
        made = self._get(self.config_init, "trainer")
        self.trainer_defaults["callbacks"] = companions(folder, made.get("callbacks"), options.enable_progress_bar)
        return kept | whole_files(made.get("plugins"))

    # Around the subcommands

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        return {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except BaseException:
            remove_empty(self.new)
            raise

    def _say_where(self) -> None:
        if self.save_config_callback and self.trainer.is_global_zero:
            print(f"tlda: the run is in {self.trainer.default_root_dir}")

    after_validate = _say_where

    def before_test(self) -> None:
        if self.options.output:
            require_writable(Path(self.options.output).parent, "--output")

    def after_test(self) -> None:
        """Write the measures where ``--output`` says."""
        if self.options.output:
            found: dict[str, Any] = {"checkpoint": None if self.checkpoint is None else str(self.checkpoint)}
            found |= outcome(self.model, self.trainer.callback_metrics)
            if self.trainer.is_global_zero:
                write_outcome(self.options.output, found)
                print(f"tlda: wrote {self.options.output}")
        self._say_where()

    def after_fit(self) -> None:
        if self.save_config_callback:
            self.trainer.test(self.model, self.datamodule)
            if self.options.wandb_checkpoints:
                log_checkpoints(self.trainer)
        self._say_where()

    def before_predict(self) -> None:
        for option in self._written():
            require_writable(Path(self.options[option]).parent, f"--{option}")

    def after_predict(self) -> None:
        if self.trainer.is_global_zero:
            print(f"tlda: wrote {' and '.join(self.options[option] for option in self._written())}")

    def _written(self) -> list[str]:
        """The options that name what a prediction writes."""
        return [option for option in ("output", "features") if self.options[option]]


def _answers_by_names(options: Namespace) -> bool:
    """Whether a network with these ``options`` answers without training: a head of texts, and towers that come trained."""
    text = (options.get("head") or {}).get("text")
    return bool(text) and not (text == OWN and options.backbone.class_path.endswith("Towers"))


def require_trained(args: list[str], model: Namespace) -> None:
    """Raise :class:`UserError` where the command of ``args`` would measure a ``model`` whose weights are random."""
    if model.init_args.get("init_from") or _answers_by_names(model.init_args):
        return
    beside = [path.parent / "checkpoints" / "last.ckpt" for path in map(Path, values(args, "c", "config"))]
    known = next((path.parent.parent for path in beside if path.is_file()), "RUN")
    raise UserError(
        f"`tlda {args[0]}` needs a network that was trained, and no checkpoint is named: add --ckpt_path {known}, the folder of a run"
    )
