"""The table of a sweep, `sweep.csv` and `sweep.md`, from the files that its runs left.

Only files are read, so it is the same for every launcher; runs that failed have a row too.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from runner.config import names
from runner.errors import ConfigError
from runner.results.table import cell, table
from runner.store import records
from runner.store.files import write_text

SEED = "seed"
IN_BRIEF = ("solved_at_sequences", "seconds")
SCORE = "bit_errors_per_sequence"


class Run(NamedTuple):
    """One run of a sweep: `overrides` as stated, `metrics` with one column for each number."""

    number: int
    overrides: dict[str, str]
    status: str
    error: str
    metrics: dict[str, Any]
    config: dict[str, Any]

    @property
    def group(self) -> tuple[tuple[str, str], ...]:
        """What the run shares with those that differ from it in their seed only."""
        return tuple(item for item in self.overrides.items() if item[0] != SEED)


_endings = ExitStack()


class SweepTable(Callback):
    """Writes the table when a sweep ends, and prints it in brief."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember where the sweep is, so that `with_table` finds it."""
        self._folder = Path(config.hydra.sweep.dir)
        _endings.callback(self._finish)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write and print the table."""
        self._finish()

    def _finish(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            print(write(folder), flush=True)


@contextmanager
def with_table() -> Iterator[None]:
    """Run a Hydra application so that a sweep gets its table however it ends.

    Hydra tells its callbacks of the end only if no job failed and nobody interrupted it.
    """
    with _endings:
        yield


def write(folder: Path) -> str:
    """Write the tables of the sweep in `folder` and return a short one."""
    runs = [_as_far_as_readable(folder, number) for number in _numbered(folder)]
    if not runs:
        return f"no run was started in {folder}"
    write_text(folder / "sweep.csv", _csv(runs))
    write_text(folder / "sweep.md", _markdown(folder, runs))
    _write_hparams(folder, runs)
    head, *rows = _run_rows(runs, _brief(runs))
    return "\n".join(
        (
            table([[str(key).removesuffix(f" {SCORE}") for key in head], *rows]),
            "under a case: bit errors a sequence",
            f"all numbers: {folder / 'sweep.csv'}, means over seeds: {folder / 'sweep.md'}",
            f"curves and images: tensorboard --logdir {folder}",
        )
    )


def read(folder: Path) -> list[Run]:
    """Read the runs of a sweep, in order. Raises ConfigError for a file that is of no use."""
    return [read_run(folder / str(number), number) for number in _numbered(folder)]


def _numbered(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


def _as_far_as_readable(folder: Path, number: int) -> Run:
    """A run for the table, which one damaged file is not to cost."""
    try:
        return read_run(folder / str(number), number)
    except ConfigError as error:
        return Run(number, {}, "unreadable", str(error), {}, {})


def read_run(folder: Path, number: int) -> Run:
    """Read what one run left, as far as it got. Raises ConfigError as `read` does."""
    stated = map(names.override_today, records.overrides(folder))
    status = records.status(folder)
    return Run(
        number,
        dict(override.lstrip("+").split("=", 1) for override in stated if "=" in override),
        str(status.get("status", "not started")),
        str(status.get("error") or ""),
        _flat(records.metrics(folder)),
        names.today(records.raw_config(folder)),
    )


def _flat(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """One column a number: those of a case under its name, `length=20 bit_accuracy`."""
    flat = {key: value for key, value in metrics.items() if not isinstance(value, Mapping)}
    for case, scores in metrics.get("evaluation", {}).items():
        flat |= {f"{case} {name}": value for name, value in scores.items()}
    return flat


def _columns(runs: Sequence[Run], of: Callable[[Run], Mapping[str, Any]]) -> list[str]:
    """The keys of all runs in the order in which they come."""
    return list(dict.fromkeys(key for run in runs for key in of(run)))


def _metric_columns(runs: Sequence[Run]) -> list[str]:
    stated = _columns(runs, lambda run: run.overrides)
    return [key for key in _columns(runs, lambda run: run.metrics) if key not in stated]


def _brief(runs: Sequence[Run]) -> list[str]:
    """The metrics that say most: how soon it was solved, and the errors of each case."""
    scores = [key for key in _metric_columns(runs) if key.endswith(f" {SCORE}")]
    return [*IN_BRIEF, *scores]


def _run_rows(runs: Sequence[Run], metrics: Sequence[str]) -> list[list[Any]]:
    """A row of headings, then one a run."""
    stated = _columns(runs, lambda run: run.overrides)
    rows: list[list[Any]] = [["run", *stated, "status", *metrics]]
    for run in runs:
        overrides = [run.overrides.get(key) for key in stated]
        rows.append([run.number, *overrides, run.status, *map(run.metrics.get, metrics)])
    return rows


def _group_rows(
    runs: Sequence[Run], metrics: Sequence[str], summary: Callable[[Sequence[float]], Any]
) -> list[list[Any]]:
    """One row for each group of runs that differ in their seed only."""
    stated = _columns(runs, lambda run: run.overrides)
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    rows: list[list[Any]] = []
    for members in groups.values():
        solved = sum(run.status == "solved" for run in members)
        shared = [None if key == SEED else members[0].overrides.get(key) for key in stated]
        summaries = [summary(_numbers(members, key)) for key in metrics]
        rows.append([*shared, f"{solved} of {len(members)} solved", *summaries])
    return rows


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation, of two values or more."""
    return statistics.stdev(values) if len(values) > 1 else None


def _numbers(runs: Sequence[Run], key: str) -> list[float]:
    values = (run.metrics.get(key) for run in runs)
    return [value for value in values if isinstance(value, int | float)]


def _csv(runs: Sequence[Run]) -> str:
    metrics = _metric_columns(runs)
    head, *rows = _run_rows(runs, metrics)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*head, "error"])
    for run, row in zip(runs, rows, strict=True):
        writer.writerow([*row, run.error])
    for name, summary in (("mean", _mean), ("deviation", _deviation)):
        for row in _group_rows(runs, metrics, summary):
            writer.writerow([name, *row, None])
    return text.getvalue()


def _markdown(folder: Path, runs: Sequence[Run]) -> str:
    metrics = [key for key in _metric_columns(runs) if " " not in key or key.endswith(SCORE)]
    stated = _columns(runs, lambda run: run.overrides)
    numeric = [key for key in metrics if _numbers(runs, key)]
    means = _group_rows(
        runs, numeric, lambda values: _with_deviation(_mean(values), _deviation(values))
    )
    failed = [f"- {run.number}: {run.status}, {cell(run.error)}" for run in runs if run.error]
    parts = [
        f"# Sweep {folder.name}",
        table(_run_rows(runs, metrics)),
        "## Mean and sample standard deviation over seeds",
        table([[*stated, "status", *numeric], *means]),
        "Runs without a value, such as `solved_at_sequences` of a run that was not solved, are "
        "left out of its mean.",
    ]
    if failed:
        parts += ["## Errors", "\n".join(failed)]
    return "\n\n".join([*parts, "All metrics: sweep.csv"]) + "\n"


def _with_deviation(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return ""
    return cell(mean) if deviation is None else f"{cell(mean)} ± {cell(deviation)}"


def _write_hparams(folder: Path, runs: Sequence[Run]) -> None:
    """Tell TensorBoard's HParams page its columns, which it otherwise guesses."""
    from runner.reporting.tensorboard import sweep_hparams_config

    shown = [key.replace(" ", "/") for key in _brief(runs)]
    metrics = [f"result/{key}" for key in ("failed", *shown)]
    sweep_hparams_config(folder, [run.config for run in runs if run.config], metrics)
