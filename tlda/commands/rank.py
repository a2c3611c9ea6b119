"""``tlda rank``: which network, and which source, before anything is trained."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlda.config.overlays import read_yaml
from tlda.config.protocol import digest
from tlda.config.shipped import named
from tlda.documents.grid import markdown
from tlda.errors import Arguments
from tlda.rank.stored import are_pairs, is_entry, is_tuned, mapping, read
from tlda.writing import require_writable, write_text

if TYPE_CHECKING:
    from tlda.rank.declared import Ranking

VERSION = 1
"""Part of every key. Raise it when a change of the code changes numbers."""


def _arguments(args: list[str]) -> argparse.Namespace:
    parser = Arguments(prog="tlda rank", description="Rank pretrained networks on a labelled part of the target, without training them.")
    parser.add_argument(
        "configs",
        nargs="+",
        type=Path,
        metavar="CONFIG",
        help="YAML files with data and candidates, or names of `tlda list rankings`; a later one wins",
    )
    parser.add_argument("--candidates", help="only these candidates, comma-separated")
    parser.add_argument(
        "--fine-tune", action="store_true", help="also train each candidate as the ranking's fine_tune says, to compare with"
    )
    parser.add_argument("--similarity", action="store_true", help="instead compare the domains: which source is nearest to the target?")
    parser.add_argument("--render", action="store_true", help="measure nothing; render what is finished")
    parser.add_argument(
        "--results", type=Path, help="the folder of the results; by default results/rank beside a folder named rank, else here"
    )
    return parser.parse_args(args)


def rank(args: list[str]) -> None:
    """Run the command ``tlda rank`` with ``args``."""
    from rich.console import Console
    from rich.markdown import Markdown

    options = _arguments(args)
    for path in options.configs:
        read_yaml(path)  # which says what cannot be read before torch is imported
    from tlda.training.quiet import silence

    silence()
    from tlda.rank.declared import load_ranking
    from tlda.rank.tables import document, similarity_document

    ranking = load_ranking([named(config, "rankings") for config in options.configs])
    picked = ranking.picked(options.candidates)
    name = f"{ranking.name}-similarity" if options.similarity else ranking.name
    folder = options.results or _folder(options.configs[-1])
    require_writable(folder, "--results")
    path = folder / f"{name}.json"
    complete = _compare if options.similarity else _score
    results = complete(ranking, [] if options.render else picked, read(path), path, options.fine_tune)
    shown = (similarity_document if options.similarity else document)(ranking.title or ranking.name, results)
    write_text(folder / f"{name}.md", markdown(shown))
    Console().print(Markdown(markdown(shown)))
    print(f"tlda: wrote {path} and {path.with_suffix('.md').name}")


def _folder(config: Path) -> Path:
    return config.resolve().parent.parent / "results" / "rank" if config.resolve().parent.name == "rank" else Path("results/rank")


def _score(ranking: Ranking, picked: list[str], known: dict[str, Any], path: Path, fine_tune: bool) -> dict[str, Any]:
    """Score what ``known`` lacks of the ``picked`` candidates, and write all to ``path`` after each."""
    results: dict[str, Any] = {
        "protocol": ranking.protocol,
        "labelled": ranking.labelled,
        "tasks": {task: _valid(ranking, task, known) for task in ranking.tasks},
    }
    places = [(task, candidate) for task in ranking.tasks for candidate in picked]
    from tlda.data.progress import progress

    for task, candidate in progress("candidates", places, len(places)):
        entries = results["tasks"][task]
        entries[candidate] = _measured(ranking, task, candidate, entries.get(candidate), fine_tune)
        write_text(path, json.dumps(results, indent=1) + "\n")
    return results


def _key(ranking: Ranking, task: str, candidate: str) -> str:
    return digest([VERSION, ranking.features(ranking.tasks[task], candidate)])


def _valid(ranking: Ranking, task: str, known: dict[str, Any]) -> dict[str, Any]:
    """What is ``known`` of the ranking's candidates on a task, made with these settings."""
    found = mapping(mapping(known.get("tasks")).get(task))
    keys = {name: _key(ranking, task, name) for name in ranking.candidates}
    return {
        name: _current(ranking, key, found[name]) for name, key in keys.items() if is_entry(found.get(name)) and found[name]["key"] == key
    }


def _current(ranking: Ranking, key: str, entry: dict[str, Any]) -> dict[str, Any]:
    """``entry`` without a fine-tuning under other settings."""
    stale = not is_tuned(entry.get("fine_tuned"), _tuned_key(ranking, key))
    return {name: value for name, value in entry.items() if not (stale and name == "fine_tuned")}


def _tuned_key(ranking: Ranking, key: str) -> str:
    return digest([key, ranking.fine_tune])


def _measured(ranking: Ranking, task: str, candidate: str, entry: dict[str, Any] | None, fine_tune: bool) -> dict[str, Any]:
    """``entry`` with what it lacks."""
    from tlda.rank.score import fine_tuned, score

    overlay, key = ranking.tasks[task], _key(ranking, task, candidate)
    entry = entry or {"key": key, **score(ranking, overlay, candidate)}
    if fine_tune and "fine_tuned" not in entry:
        entry["fine_tuned"] = {"key": _tuned_key(ranking, key), **fine_tuned(ranking, overlay, candidate, entry["width"])}
    return entry


def _compare(ranking: Ranking, picked: list[str], known: dict[str, Any], path: Path, fine_tune: bool) -> dict[str, Any]:
    """Compare the domains by the features of the ``picked`` candidates."""
    from tlda.rank.similarity import similarity

    results: dict[str, Any] = {"pairs": {}, "keys": {}}
    keys, pairs = (mapping(known.get(name)) for name in ("keys", "pairs"))
    for candidate in ranking.candidates:
        key = digest([VERSION, ranking.domains, ranking.features({}, candidate)])
        done = keys.get(candidate) == key and are_pairs(pairs.get(candidate))
        if done or candidate in picked:
            results["pairs"][candidate] = pairs[candidate] if done else similarity(ranking, candidate)
            results["keys"][candidate] = key
            write_text(path, json.dumps(results, indent=1) + "\n")
    return results
