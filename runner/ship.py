"""Put a trained model where the repository ships it: `python -m runner.ship --help`.

`models/<task>/` gets what evaluating it needs and what says how it was made, and nothing else: no
checkpoint, no event file, no path of the machine that trained it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from runner.config.arguments import Parser
from runner.config.friendly import friendly
from runner.config.saved import CONFIG, check_folder
from runner.errors import ConfigError
from runner.store import records
from runner.store.files import (
    METRICS,
    MODEL,
    STATUS,
    make,
    replace_with,
    unreadable,
    write_json,
    write_text,
)
from runner.store.model_file import fault

LARGEST = 1_000_000  # bytes
PATHS = ("compilation_cache", "checkpoint", "resume")  # of the configuration
ORIGIN = "init_from"  # what the weights began as: the name of its folder stays


def main(arguments: Sequence[str]) -> None:
    """Ship a run and print the command that evaluates it. Raises ConfigError."""
    options = _parse(arguments)
    folder = ship(options.run, options.to)
    print(f"python run.py mode=evaluate checkpoint={folder}")


def ship(run: Path, to: Path | None = None) -> Path:
    """Copy a solved run to `to`, by default `models/<task>`, and return that folder.

    What was shipped there before is replaced. Raises ConfigError for a run that is no training,
    is not solved, or whose model is too large.
    """
    check_folder("RUN", run, [CONFIG, MODEL, METRICS, STATUS])
    config, metrics, status = records.config(run), records.metrics(run), records.status(run)
    if config.get("mode") == "evaluate":
        raise ConfigError(f"{run} is an evaluation: ship the run that it evaluated.")
    if config.get("mode") != "train":
        raise ConfigError(unreadable(run / CONFIG, "does not say that it is of a training"))
    if status.get("status") != "solved":
        raise ConfigError(
            f"{run} ended as {status.get('status')}, not as solved: ship a model that solves its "
            "task, as the tests will ask of it."
        )
    reason = fault(run / MODEL)
    if reason is not None:
        raise ConfigError(unreadable(run / MODEL, f"is of no use ({reason})"))
    model = (run / MODEL).read_bytes()
    if len(model) > LARGEST:
        raise ConfigError(
            f"{run / MODEL} has {len(model):,} bytes, and a shipped model at most {LARGEST:,}: "
            "train a smaller one."
        )
    folder = to or Path("models") / _task_name(run, config)
    config |= dict.fromkeys(PATHS)
    if config.get(ORIGIN):
        config[ORIGIN] = Path(str(config[ORIGIN])).name
    make(folder, Path(CONFIG).parent.name)
    write_text(folder / CONFIG, OmegaConf.to_yaml(config))
    with replace_with(folder / MODEL) as unfinished:
        unfinished.write_bytes(model)
    write_json(folder / METRICS, metrics)
    write_json(folder / STATUS, status)
    return folder


def _task_name(run: Path, config: dict[str, Any]) -> str:
    name = (config.get("task") or {}).get("name") if isinstance(config.get("task"), dict) else None
    if not isinstance(name, str) or name in ("", ".", "..") or Path(name).name != name:
        raise ConfigError(
            f"{run / CONFIG} has task.name={name!r}, which names no folder: state where to ship it "
            "with --to."
        )
    return name


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="python -m runner.ship",
        description="Ship the model of a run that ended solved.",
        epilog="example: python -m runner.ship multirun/<sweep>/3",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of the run")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where to (models/<task>)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    with friendly():
        main(sys.argv[1:])
