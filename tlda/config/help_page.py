"""What ``--help`` shows: the options that people use, by group, and with ``--help-all`` every one."""

from __future__ import annotations

import textwrap

from tlda.config.index import subclasses, trainer_options

INDENT = 31

RUN = {
    "-c, --config FILE": "a file, or an overlay by its name, such as method/dann; of several, and of options, the later wins",
    "--ckpt_path RUN": "the folder of a run, or a checkpoint: its options are taken too",
    "--seed_everything SEED": "the seed (default: 0)",
    "--print_config": "print the whole configuration, and do nothing",
}

OWN = {
    "fit": {"--wandb-checkpoints true": "log the checkpoints to W&B as an artifact (default: false)"},
    "test": {"--output FILE": "metrics, accuracy per class and confusion as JSON (default: none is written)"},
    "predict": {
        "--inputs PATH": "new inputs, a folder of images or a CSV: they need no source (default: the target)",
        "--output FILE": "the CSV that is written (default: predictions.csv)",
        "--features FILE": "the features that the head saw, as .npy, .npz or .parquet (default: none are written)",
    },
}
"""The options that one command alone has."""

MODEL = {
    "--model CLASS": "the method, such as DANN (`tlda list methods`); --model.help DANN shows its options",
    "--model.backbone CLASS": "the network, such as LeNet (`tlda list backbones`); its options are --model.backbone.OPTION",
    "--model.bottleneck WIDTH": "a layer of that width between network and head (default: 0, none)",
    "--model.plus+=LOSS": "add a loss under any method, such as MCC (`tlda list losses`)",
    "--model.optimizer CLASS": "Adam by default (`tlda list optimizers`); --model.optimizer.lr is the learning rate",
    "--model.schedule CLASS": "how the rate falls (`tlda list schedules`)",
    "--model.lr_multipliers MAP": 'the rate of a part of the network, such as "{backbone: 0.1}"',
    "--model.tuning CLASS": "how far the network is trained, such as LoRA (`tlda list tunings`)",
    "--model.init_from RUN": "start from the weights of another run",
}

DATA = {
    "--data CLASS": "the data, such as Folders (`tlda list data`); --data.help Folders shows its options",
    "--data.source DOMAIN": "the domain with labels",
    "--data.target DOMAIN": "the domain to adapt to",
    "--data.root FOLDER": "where the data are (default: TLDA_DATA, else data)",
    "--data.batch_size N": "rows of each domain in a step",
    "--data.steps N": "steps in an epoch",
    "--data.holdout SHARE": "the fraction of the rows that are kept for validation",
    "--data.augment+=CLASS": "change the images of a training batch (`tlda list augmentations`)",
    "--data.num_workers N": "processes that read the data",
}

TRAINER = {
    "--trainer.max_epochs N": "how long to train (default: 10)",
    "--trainer.precision P": "32-true, bf16-mixed, … (`tlda doctor` says the default of this machine, and why)",
    "--trainer.accelerator NAME": "cpu, gpu, … (default: auto)",
    "--trainer.devices N": "how many of them; several need --trainer.strategy ddp",
    "--trainer.gradient_clip_val X": "the largest norm of the gradients",
    "--trainer.callbacks+=CLASS": "a callback of Lightning's, such as ModelCheckpoint or EarlyStopping",
    "--trainer.default_root_dir DIR": "where the folders of runs are made (default: runs)",
}

GROUPS = {"method": MODEL, "data": DATA, "trainer": TRAINER}


def help_of(command: str) -> str:
    """The options of a subcommand that people use, by group."""
    groups = {"run": RUN | OWN.get(command, {}), **GROUPS}
    lines = [f"usage: tlda {command} [-c FILE]... [OPTIONS]"]
    for title, options in groups.items():
        lines += ["", f"{title}:", *(_line(option, said) for option, said in options.items())]
    return "\n".join([*lines, "", f"`tlda {command} --help-all` shows the trainer's other options, and the names of all methods and data."])


def help_of_all(command: str) -> str:
    """All options of a subcommand that trains or measures, and the classes that they can name."""
    lines = [
        f"usage: tlda {command} [-c FILE]... [OPTIONS]",
        "",
        "options:",
        *(_line(option, said) for option, said in (RUN | OWN.get(command, {})).items()),
        "",
        "model and data: a class by its name, with --model.help CLASS and --data.help CLASS its options",
        _line("--model CLASS", ", ".join(sorted(subclasses("Method")))),
        _line("--data CLASS", ", ".join(sorted(subclasses("DomainPair")))),
        "  --model.OPTION, --data.OPTION, --model.backbone.OPTION, --model.plus+=LOSS, …",
        "",
        "trainer (of Lightning):",
        *(_line(f"--trainer.{name}", said) for name, said in trainer_options().items()),
    ]
    return "\n".join(lines)


def _line(option: str, said: str) -> str:
    wrapped = f"\n{' ' * (INDENT + 2)}".join(textwrap.wrap(said.replace("``", ""), 100))
    return f"  {option:<{INDENT - 1}} {wrapped}".rstrip()
