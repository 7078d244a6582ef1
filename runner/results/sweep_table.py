"""The tables of a sweep: a row a run, then means and deviations over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config import varied
from runner.config.schema import task_from
from runner.errors import ConfigError
from runner.results import runs as found
from runner.results.runs import Run
from runner.results.table import cell, markdown

if TYPE_CHECKING:
    import pandas as pd

SEED, STATUS, SOLVED = "seed", "status", "solved"
SOLVED_AT, SECONDS = "solved_at_sequences", "seconds"
SCORE, LOSS = "bit_errors_per_sequence", "loss_bits_per_sequence"
NO_MEAN = (SEED, "compile_seconds")  # Numbers of which a mean says nothing.
MOST_ROWS = 40  # in brief


@dataclass(frozen=True)
class Table:
    """A table of runs or of means of them, best first in `best`, and what its columns are.

    rows: in the order of the jobs.
    keys: the columns that tell the rows from each other.
    metrics: those of numbers.
    judged: the metric that decides which run is better.
    """

    rows: pd.DataFrame
    keys: list[str]
    metrics: list[str]
    judged: str | None


def runs_table(runs: list[Run]) -> Table:
    """A row a run: its folder, what sets it apart, seed, status, and all that was measured."""
    import pandas as pd

    keys = found.columns(runs)
    if SEED not in keys:
        keys.append(SEED)
    metrics = [key for key in dict.fromkeys(k for r in runs for k in r.metrics) if key not in keys]
    rows = [
        {
            "run": run.name,
            **{key: _plain(run.values[key]) for key in keys if key in run.values},
            STATUS: run.status,
            **{key: run.metrics.get(key) for key in metrics},
            "error": run.error,
        }
        for run in runs
    ]
    heads = ["run", *keys, STATUS, *metrics, "error"]
    frame = pd.DataFrame(rows, columns=heads, dtype=object)
    numeric = [key for key in metrics if _is_numeric(frame[key])]
    return Table(frame, keys, numeric, _judged(runs, metrics))


def means_table(table: Table) -> Table:
    """A row for the runs that differ in their seed alone: how many, how many solved, the means.

    A metric `m` has the columns `m` and `m deviation`, the sample standard deviation.
    """
    import pandas as pd

    keys = [key for key in table.keys if key != SEED]
    metrics = [key for key in table.metrics if key not in NO_MEAN]
    rows, numbers = table.rows, table.rows[metrics].apply(pd.to_numeric)
    number_of = rows.groupby(keys, dropna=False, sort=False).ngroup() if keys else 0 * rows.index
    groups = numbers.groupby(number_of)
    of_status = rows[STATUS].groupby(number_of)
    parts = [
        rows[keys].groupby(number_of).first(),
        of_status.size().rename("runs"),
        of_status.agg(lambda status: (status == SOLVED).sum()).rename(SOLVED),
    ]
    for key in metrics:
        parts += [groups[key].mean(), groups[key].std().rename(f"{key} deviation")]
    return Table(pd.concat(parts, axis=1), keys, metrics, table.judged)


def as_markdown(name: str, table: Table, means: Table) -> str:
    """Both tables, best first, with what varies alone."""
    shown = [key for key in table.metrics if _is_shown(key) and _varies(table.rows[key])]
    runs = _best_first(table, table.rows[STATUS] == SOLVED)
    constant = [key for key in table.metrics if _is_shown(key) and key not in shown]
    alike = [f"{key} {cell(_any(table.rows[key]))}" for key in constant]
    parts = [
        f"# Sweep {name}",
        _how_judged(table),
        markdown(runs[["run", *table.keys, STATUS, *shown]]),
    ]
    if alike:
        parts.append(f"The same in all runs: {', '.join(alike)}.")
    parts += [
        "## Mean and sample standard deviation over seeds",
        markdown(_with_deviations(means, [key for key in shown if key in means.metrics])),
        "Runs without a value, such as `solved_at_sequences` of a run that was not solved, are "
        "left out of its mean.",
    ]
    return "\n\n".join(part for part in parts if part)


def in_brief(table: Table) -> str:
    """The runs, best first, with the metrics that say most."""
    scores = [key for key in table.metrics if key.endswith(f" {SCORE}")]
    shown = [key for key in (SOLVED_AT, SECONDS) if key in table.metrics]
    runs = _best_first(table, table.rows[STATUS] == SOLVED)
    rows = runs[["run", *table.keys, STATUS, *shown, *scores]]
    rows = rows.rename(columns={key: key.removesuffix(f" {SCORE}") for key in scores})
    more = f"\nand {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
    note = "under a case: bit errors a sequence" if scores else ""
    said = ". ".join(text for text in (_how_judged(table).removesuffix("."), note) if text)
    return f"{markdown(rows[:MOST_ROWS])}{more}" + (f"\n{said}" if said else "")


def _best_first(table: Table, solved: Any) -> pd.DataFrame:
    """The rows, by `solved`, a number or a share, and then by the metric that decides."""
    import pandas as pd

    order = pd.DataFrame({"solved": -solved.astype(float)})
    known = table.judged in table.rows
    order["judged"] = pd.to_numeric(table.rows[table.judged], errors="coerce") if known else 0.0
    return table.rows.loc[order.sort_values(["solved", "judged"], kind="stable").index]


def _with_deviations(means: Table, shown: Sequence[str]) -> pd.DataFrame:
    best = _best_first(means, means.rows[SOLVED] / means.rows["runs"])
    frame = best[means.keys].copy()
    frame[SOLVED] = [
        f"{solved} of {runs}" for solved, runs in zip(best[SOLVED], best["runs"], strict=True)
    ]
    for key in shown:
        pairs = zip(best[key], best[f"{key} deviation"], strict=True)
        frame[key] = [f"{cell(mean)} ± {cell(dev)}" if dev > 0 else mean for mean, dev in pairs]
    return frame


def _judged(runs: Sequence[Run], metrics: Sequence[str]) -> str | None:
    """The loss at the deciding case of the task, or its wrong bits."""
    case = next((case for run in runs if (case := deciding_case(run))), None)
    return next((key for s in (LOSS, SCORE) if (key := f"{case} {s}") in metrics), None)


def deciding_case(run: Run) -> str | None:
    """The case that decides whether a run's task is solved, or the first one it was evaluated on.

    None for a run of another version, or one that ended before it had a configuration.
    """
    cases = [key.rpartition(" ")[0] for key in run.metrics if key.endswith(f" {SCORE}")]
    with suppress(AttributeError, ConfigError, KeyError, TypeError, OmegaConfBaseException):
        case = task_from(OmegaConf.create(dict(run.config))).solved_case()
        if case in cases:
            return case
    return cases[0] if cases else None


def _how_judged(table: Table) -> str:
    if table.judged is None:
        return ""
    case, _, score = table.judged.rpartition(" ")
    words = "loss" if score == LOSS else "number of wrong bits"
    return f"Best first: solved at the end, then the lower {words} at {case}."


def _is_shown(key: str) -> bool:
    """Whether a metric is for people: no times of compilation, and one score a case."""
    return key not in NO_MEAN and (" " not in key or key.endswith(f" {SCORE}"))


def _is_numeric(column: pd.Series) -> bool:
    known = [value for value in column if value is not None]
    return bool(known) and all(isinstance(value, int | float) for value in known)


def _varies(column: pd.Series) -> bool:
    return bool(column.nunique(dropna=True) > 1)


def _any(column: pd.Series) -> Any:
    return next((value for value in column if value is not None), None)


def _plain(value: Any) -> Any:
    """A number as it is, anything else as one states it."""
    return value if type(value) in (int, float) else varied.shown(value)
