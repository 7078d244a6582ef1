"""The files and the report of a sweep, from what its runs have left.

Only files are read, so it is the same for every launcher, while the sweep runs and at any time
later. `sweep.csv` has a row a run, `sweep_means.csv` one for the runs that differ in their seed
alone, and `sweep.md` both, best first.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from runner.config import plan, varied
from runner.errors import ConfigError
from runner.results import runs as found
from runner.results import sweep_table
from runner.results.runs import Run
from runner.results.table import cell
from runner.store.files import write_text

_endings = ExitStack()


class SweepTable(Callback):
    """Writes the tables as runs end, and reports when the sweep does."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember where the sweep is, so that `with_table` finds it."""
        self._folder = Path(config.hydra.sweep.dir)
        _endings.callback(self._finish)

    def on_job_end(self, config: DictConfig, job_return: Any = None, **kwargs: Any) -> None:
        """Write the tables with the run that has ended, in whichever process it was."""
        if config.hydra.mode == RunMode.MULTIRUN:
            with suppress(ConfigError, OSError):
                write(Path(config.hydra.runtime.cwd) / config.hydra.sweep.dir)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write the tables and print the report."""
        self._finish()

    def _finish(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            print(report(folder), flush=True)


@contextmanager
def with_table() -> Iterator[None]:
    """Run a Hydra application so that a sweep gets its report however it ends.

    Hydra tells its callbacks of the end only if no job failed and nobody interrupted it.
    """
    with _endings:
        yield


def write(root: Path) -> list[Run]:
    """Write the tables of the sweep in `root`, each whole or not at all, and return its runs."""
    runs = found.read(root, forgiving=True)
    if any(found.is_run(run.folder) for run in runs):
        table = sweep_table.runs_table(runs)
        means = sweep_table.means_table(table)
        write_text(root / "sweep.csv", table.rows.to_csv(index=False))
        write_text(root / "sweep_means.csv", means.rows.to_csv(index=False))
        parts = [sweep_table.as_markdown(root.name, table, means), *_unfinished(runs)]
        write_text(root / "sweep.md", "\n\n".join([*parts, "All metrics: sweep.csv"]) + "\n")
    return runs


def report(root: Path) -> str:
    """Write the tables of a sweep, and return what a person wants to know of it."""
    runs = write(root)
    if not any(found.is_run(run.folder) for run in runs):
        return f"no run was started in {root}"
    _tell_tensorboard(runs)
    made_by = _plan(root)
    unfinished = _unfinished(runs)
    parts = [
        sweep_table.in_brief(sweep_table.runs_table(runs)),
        _older(runs, made_by),
        _pruned(runs),
        *unfinished,
        _how_to_go_on(root, made_by) if unfinished else "",
        f"all numbers: {root / 'sweep.csv'}, means over seeds: {root / 'sweep_means.csv'}, both: "
        f"{root / 'sweep.md'}\n"
        f"curves and images: tensorboard --logdir {shlex.quote(str(root))}",
    ]
    return "\n\n".join(part for part in parts if part)


def _plan(root: Path) -> plan.Plan:
    with suppress(ConfigError):
        return plan.read(root)
    return plan.Plan()


def _unfinished(runs: Sequence[Run]) -> list[str]:
    """Runs that have not ended well, with the reason, under a heading; empty if there is none."""
    columns = found.columns(runs)
    lines = [
        f"- {run.name}"
        + (f" ({text})" if (text := varied.label(run.values, columns)) else "")
        + f": {run.status}{_reason(run)}"
        for run in runs
        if run.status not in (*found.ENDED, found.PRUNED)
    ]
    return ["Not finished:\n\n" + "\n".join(lines)] if lines else []


def _reason(run: Run) -> str:
    if run.error:
        return f", {cell(run.error)}"
    return ", its process ended without a word" if run.status == found.STALE else ""


def _pruned(runs: Sequence[Run]) -> str:
    """A sentence on the trials that a search has done with before their end."""
    names = [run.name for run in runs if run.status == found.PRUNED]
    return f"ended early, behind the other trials: {', '.join(names)}." if names else ""


def _older(runs: Sequence[Run], made_by: plan.Plan) -> str:
    """A sentence on rows that the last command of this directory has nothing to do with."""
    names = [run.name for run in runs if made_by.jobs and run.name not in made_by.jobs]
    if not names:
        return ""
    return (
        f"of earlier commands in this directory, listed too: {', '.join(names)}. A sweep of "
        "its own has another hydra.sweep.dir."
    )


def _how_to_go_on(root: Path, made_by: plan.Plan) -> str:
    if not made_by.command:
        return f"to go on: the command that made it, with hydra.sweep.dir={shlex.quote(str(root))}"
    here = made_by.typed_in == str(Path.cwd())
    place = "" if here else f"cd {shlex.quote(made_by.typed_in)} && "
    return f"to go on: {place}{made_by.command}"


def _tell_tensorboard(runs: Sequence[Run]) -> None:
    """Bring what TensorBoard shows of ended runs up to what is known now that all have.

    Other runs may differ in more than the command of theirs said, and a status is a column if
    some run has not ended well.
    """
    from runner.reporting import events, hparams

    keys = found.columns(runs)
    ended = [run for run in runs if run.config and run.status not in ("running", found.NOT_STARTED)]
    said = any(run.status not in found.ENDED for run in ended)
    rows = [
        {key: run.values[key] for key in dict.fromkeys([*keys, varied.SEED]) if key in run.values}
        | ({"status": run.status} if said else {})
        for run in ended
    ]
    for run, row in zip(ended, rows, strict=True):
        label = varied.label(run.values, keys or [varied.SEED])
        with suppress(ConfigError, OSError):
            if events.folder_of(run.folder) is not None:
                page = hparams.Row(
                    events.folder_for(run.folder, label), hparams.in_sweep(row, rows)
                )
                page.write(_in_brief(run), run.status, (run.metrics.get("steps") or 0) + 1)


def _in_brief(run: Run) -> dict[str, float]:
    """As the run itself writes it at its end."""
    from runner.reporting import hparams

    if run.status not in found.ENDED:
        return {}
    case, of = sweep_table.deciding_case(run), run.metrics
    scores = {key.removeprefix(f"{case} "): value for key, value in of.items()}
    spent = (of.get("seconds") or 0.0, of.get("sequences") or 0, of.get("solved_at_sequences"))
    return hparams.in_brief(scores, run.status == "solved", *spent)
