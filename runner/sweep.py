"""Look at a sweep, running or not: `python -m runner.sweep --help`.

Reads what its runs left; imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.config.arguments import Parser
from runner.config.friendly import friendly
from runner.errors import ConfigError
from runner.results import runs, sweep


def main(arguments: Sequence[str]) -> None:
    """Write the tables of a sweep again and print its report. Raises ConfigError."""
    folder = _parse(arguments).sweep
    if not folder.is_dir():
        raise ConfigError(
            f"{folder} is not a directory: state that of a sweep, such as multirun/..."
        )
    if runs.is_run(folder):
        raise ConfigError(
            f"{folder} is the directory of one run, not of a sweep: `python -m runner.compare "
            f"{folder}` shows it, or state the directory of its sweep."
        )
    if not any(runs.is_run(run.folder) for run in runs.read(folder, forgiving=True)):
        raise ConfigError(f"{folder} holds no run: state the directory of a sweep that has begun.")
    print(sweep.report(folder))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="python -m runner.sweep",
        description="Write the tables of a sweep again, and say what has not finished and how to "
        "go on.",
        epilog="example: python -m runner.sweep multirun/<sweep>",
    )
    parser.add_argument("sweep", type=Path, metavar="DIR", help="the directory of the sweep")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    with friendly():
        main(sys.argv[1:])
