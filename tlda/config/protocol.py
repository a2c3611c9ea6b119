"""The options that decide a result, line by line; those of the benchmark (its protocol) apart from those of the method."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from tlda.options.recorded import Plain

PROTOCOL = 1
"""The version of the code that decides results. Raise it when a change of the code changes numbers."""

REVISIONS = {"BoxTeacher": 2, "DACS": 2, "Questions": 2}
"""By name, the version of a class: raised instead of :data:`PROTOCOL` when a change of the code changes that class's numbers alone."""

NOT_DECISIVE = ("root", "download", "num_workers", "in_memory")
"""Options of the data that say where they are or how they are read. They do not change a result."""

SHARED = (["backbone"], ["bottleneck"], ["optimizer"], ["schedule"], ["lr_multipliers"])
"""The options of a model that a benchmark sets for all of its methods."""

TRAINER = {
    "max_epochs": None,
    "max_steps": -1,
    "precision": None,
    "gradient_clip_val": None,
    "gradient_clip_algorithm": None,
    "accumulate_grad_batches": 1,
    "limit_train_batches": None,
    "limit_test_batches": None,
    "overfit_batches": 0.0,
    "fast_dev_run": False,
    "min_epochs": None,
    "min_steps": None,
    "max_time": None,
    "callbacks": None,
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "sync_batchnorm": False,
    "plugins": None,
}
"""The options of the trainer that decide a result, each with the value that has no effect."""

LABEL_SETS = {(False, False): "closed", (True, False): "partial", (False, True): "open", (True, True): "universal"}
"""What the sets of classes are called, by whether the source and the target have classes of their own."""

Lines = dict[str, Any]


def decisive(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a resolved ``config`` that decides a result. Classes are given by name, without the module, which decides nothing."""
    named: Any = by_name(_decisive(config))
    lines: Lines = named
    return lines


def _decisive(config: dict[str, Any]) -> dict[str, Any]:
    trainer = decisive_trainer(config["trainer"])
    lines = {"model": config["model"], "data": _decisive_data(config["data"]), "trainer": trainer, "protocol": PROTOCOL}
    return {**lines, "revisions": _revisions(lines)}


def _revisions(config: dict[str, Any]) -> dict[str, int] | None:
    """The :data:`REVISIONS` of the classes that ``config`` names; None where it names none of these."""
    names = {path.rpartition(".")[2] for path in class_paths(config)}
    return {name: REVISIONS[name] for name in sorted(names & REVISIONS.keys())} or None


def decisive_trainer(trainer: dict[str, Any]) -> dict[str, Any]:
    """The options of a trainer that decide a result, and are not as good as none."""
    given = {**trainer, "devices": _count(trainer.get("devices"))}
    return {name: given.get(name, off) for name, off in TRAINER.items() if given.get(name, off) not in (off, None)}


def _count(devices: Any) -> Any:
    """How many ``devices`` an option of the trainer means, in each of which a process has a batch of its own; a cell has one by itself."""
    if devices in (None, "auto"):
        return 1
    if isinstance(devices, str) and "," in devices:
        return len([number for number in devices.split(",") if number.strip()])
    return len(devices) if isinstance(devices, list) else int(devices)


def own_code(config: dict[str, Any]) -> dict[str, str] | None:
    """The code of the classes in a resolved ``config`` that are not tlda's, by module; None where all are."""
    from tlda.data.extractor import code_of

    modules = sorted({path.rpartition(".")[0] for path in class_paths(_decisive(config))})
    return {name: code_of(name) for name in modules if name.split(".")[0] != "tlda"} or None


def by_name(value: Plain) -> Plain:
    """Plain data whose classes are named without their modules; a name is unique below the base that an option takes."""
    if isinstance(value, dict):
        return {
            key: item.rpartition(".")[2] if key == "class_path" and isinstance(item, str) else by_name(item) for key, item in value.items()
        }
    return [by_name(item) for item in value] if isinstance(value, list) else value


def class_paths(value: Plain) -> Iterator[str]:
    """The paths of all classes that plain data name."""
    if isinstance(value, dict):
        yield from [value["class_path"]] if isinstance(value.get("class_path"), str) else []
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from class_paths(item)


def _decisive_data(data: Any) -> Any:
    """The options of ``data`` that decide a result, and those of the data that they are made from."""
    if not isinstance(data, dict):
        return data
    options = {name: _decisive_data(value) for name, value in data.items()}
    return (
        {**options, "init_args": _without(NOT_DECISIVE, options["init_args"])} if "class_path" in data and "init_args" in data else options
    )


def _without(names: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def class_sets(protocol: Lines) -> Lines:
    """The sets of classes in the lines of a ``protocol``, and the ``label_set`` that they make; nothing where both domains have one set."""
    data = {name.rpartition(".")[2]: value for name, value in protocol.items() if name.startswith("data.")}
    found = {name: data[name] for name in ("classes", "source_private", "target_private", "rejection") if data.get(name)}
    label_set = LABEL_SETS["source_private" in found, "target_private" in found]
    return {} if label_set == "closed" else {"label_set": label_set, **found}


def lines(config: dict[str, Any]) -> Lines:
    """The lines that decide a result of ``config``, such as ``model.backbone.size: 28``; an option that is off has no line."""
    return dict(flat("", decisive(config)))


def protocol(config: dict[str, Any]) -> Lines:
    """The lines of ``config`` that are the benchmark's: data, network, optimizer, trainer, and the version of their code."""
    options = config["model"].get("init_args") or {}
    shared = {"data": config["data"], "model": {name: value for name, value in options.items() if [name] in SHARED}}
    every = {name: value for name, value in lines(config).items() if not name.startswith("revisions.")}
    found = {name: value for name, value in every.items() if not name.startswith("model") or _is_shared(name)}
    found |= {f"revisions.{name}": number for name, number in (_revisions(shared) or {}).items()}
    sets = class_sets(found)
    return found | ({"data.label_set": sets["label_set"]} if sets else {})


def _is_shared(name: str) -> bool:
    # The rate of the losses, such as that of a domain discriminator, is the method's, as those are.
    return name.split(".")[1:2] in SHARED and not name.startswith("model.lr_multipliers.losses")


def with_protocol(recipe: dict[str, Any], trainer: dict[str, Any]) -> dict[str, Any]:
    """The ``recipe`` of a model and its data, the decisive options of ``trainer``, and the hash of the protocol of all these."""
    return {**recipe, "trainer": decisive_trainer(trainer), "protocol": digest(protocol({**recipe, "trainer": trainer}))}


def digest(found: object) -> str:
    """A hash of plain data, 16 hexadecimal digits."""
    return hashlib.blake2b(json.dumps(found, sort_keys=True).encode(), digest_size=8).hexdigest()


def differing(found: Lines, wanted: Lines) -> str:
    """The lines in which ``found`` and ``wanted`` differ, as ``trainer.max_epochs 10, not 18``; a part that one lacks is one line."""
    return "; ".join(differences(found, wanted).values())


def differences(found: Lines, wanted: Lines) -> dict[str, str]:
    """The lines of :func:`differing` by name."""
    names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    lacking = tuple(f"{name}." for name in names if name not in found or name not in wanted)
    names = [name for name in names if not name.startswith(lacking)]
    return {name: f"{name} {found.get(name, 'off')}, not {wanted.get(name, 'off')}" for name in names}


def without_nulls(value: Plain) -> Plain:
    """Remove all None from plain data, so that a new option, off by default, does not change the hash of an earlier result."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def flat(name: str, value: Plain) -> Iterator[tuple[str, Any]]:
    """The lines of the option ``name``, whose plain ``value`` may be a class with options of its own; None has no line."""
    if isinstance(value, dict) and "class_path" in value:
        yield name, value["class_path"].rsplit(".", 1)[-1]
        value = value.get("init_args") or {}
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flat(f"{name}.{key}" if name else key, item)
    elif value is not None:
        yield name, without_nulls(value)
