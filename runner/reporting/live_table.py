"""One table in the terminal for jobs that run at once on this machine, drawn where they started."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from runner.config import jobs, plan, sweep_end, varied
from runner.errors import ConfigError
from runner.reporting import heartbeat
from runner.store import records
from runner.store.files import STATUS

SECONDS = 0.5  # between two drawings
WAITING = "waiting"
ORDER = ("running", "failed", "interrupted", "requeued")  # shown first where rows are few
COLUMNS = ("job", "what differs", "status", "step", "loss", "bit errors", "time left")
AROUND = 6  # lines of the table that are no jobs


class Row(NamedTuple):
    """How one job goes."""

    job: str
    what: str
    status: str
    step: str = ""
    loss: str = ""
    bit_errors: str = ""
    left: str = ""


class LiveTable(Callback):
    """Draws the table while a sweep runs, where its jobs run at once and someone looks on."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Begin to draw; `runner.config.sweep_end` ends it however the sweep ends."""
        import rich

        sweep = sweep_end.started()
        terminal = rich.get_console().is_terminal and not rich.get_console().is_dumb_terminal
        at_once = config.hydra.launcher.get("n_jobs", 1) != 1
        jobs.draw_table(False)
        if sweep is None or not (terminal and at_once and sweep.here):
            return
        jobs.draw_table(True)
        sweep_end.ends.callback(_draw(sweep.root))


def rows(root: Path) -> list[Row]:
    """How the jobs of a sweep go, in their order, from what they have written."""
    made = plan.read(root)
    if made.jobs:
        return [
            _row(name, root / name, varied.label(values, made.columns))
            for name, values in made.jobs.items()
        ]
    found = sorted(root.rglob(STATUS), key=lambda path: (len(path.parent.name), path))
    return [_row(path.parent.name, path.parent, _stated(path.parent, made)) for path in found]


def fitting(found: Sequence[Row], most: int) -> list[Row]:
    """So many rows in their order: those that run or went wrong before the others."""

    def place(number: int) -> tuple[int, int]:
        status = found[number].status
        return (ORDER.index(status) if status in ORDER else len(ORDER), -number)

    kept = sorted(range(len(found)), key=place)[: max(1, most)]
    return [found[number] for number in sorted(kept)]


def drawn(root: Path, height: int) -> Any:
    """The table, as high as a terminal allows."""
    from rich.box import ROUNDED
    from rich.table import Table

    found = rows(root)
    counts = ", ".join(f"{n} {status}" for status, n in Counter(r.status for r in found).items())
    table = Table(box=ROUNDED, caption=counts, caption_justify="left")
    for column in COLUMNS:
        is_text = column in COLUMNS[:3]
        table.add_column(column, justify="left" if is_text else "right", no_wrap=True)
    for row in fitting(found, height - AROUND):
        table.add_row(*row)
    return table


def _row(job: str, folder: Path, what: str) -> Row:
    try:
        status = str(records.status(folder).get("status", WAITING))
        told = heartbeat.read(folder) if status == "running" else _ended(folder)
    except ConfigError:
        return Row(job, what, "unreadable")
    texts = [str(told.get(key, "")) for key in ("step", "loss", "bit_errors", "left")]
    return Row(job, what, status, *texts)


def _ended(folder: Path) -> dict[str, str]:
    """The step at which a run ended, and its scores at the first case."""
    metrics = records.metrics(folder)
    scores: dict[str, Any] = next(iter(metrics.get("evaluation", {}).values()), {})
    named = {
        "step": metrics.get("steps"),
        "loss": scores.get("loss_bits_per_sequence"),
        "bit_errors": scores.get("bit_errors_per_sequence"),
    }
    return {key: f"{value:.3g}" if isinstance(value, float) else str(value)
            for key, value in named.items() if value is not None}  # fmt: skip


def _stated(folder: Path, made: plan.Plan) -> str:
    """What was chosen for a trial of a search."""
    with suppress(ConfigError):
        chosen = plan.typed([x for x in records.overrides(folder) if x not in made.stated])
        return varied.label(chosen, list(chosen))
    return ""


def _draw(root: Path) -> Any:
    """Draw the table again and again in a thread; returns what ends it."""
    import rich
    from rich.live import Live

    console, ended = rich.get_console(), threading.Event()
    live = Live(drawn(root, console.height), console=console, auto_refresh=False)
    live.start()

    def draw() -> None:
        while not ended.wait(SECONDS):
            live.update(drawn(root, console.height), refresh=True)

    thread = threading.Thread(target=draw, name="table", daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        thread.join()
        live.update(drawn(root, console.height), refresh=True)
        live.stop()

    return end
