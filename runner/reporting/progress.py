"""What a person sees of a training: a live line in a terminal, plain lines elsewhere, tables.

Lines that stay go through `logging`, so that they reach the console and `run.log` alike. Only the
live line and the tables are drawn by rich, and the live line only in a terminal.
"""

import logging
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from numbers import Real
from types import TracebackType
from typing import Any, Self

import numpy as np
import rich
from rich.box import ASCII, ROUNDED
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as LiveProgress
from rich.table import Column, Table

LOG = logging.getLogger(__name__)

HEADINGS = {
    "bit_errors_per_sequence": "bit errors\na sequence",
    "bit_accuracy": "bits\nright",
    "sequences_correct": "sequences\nright",
    "loss_bits_per_sequence": "loss, bits\na sequence",
}
SHARES = ("bit_accuracy", "sequences_correct")  # between 0 and 1, shown in percent
PLAIN_SHARE, PLAIN_SECONDS = 0.05, 60.0  # a plain line at every twentieth, or every minute
PLAIN_WIDTH, BAR_FROM_WIDTH = 1000, 100
MOST_VALUES, VALUES_A_LINE = 120, 10


class Progress:
    """Shows how a training goes; a context manager around the training loop.

    Args:
        total_steps: the optimizer's iterations at the end of the training.
        verbose: after each evaluation also list the accuracy of every output bit and position.
        console: where the live line goes; None is rich's console on stdout. A console made with
            `force_terminal=False` gives plain lines in a terminal too, for jobs that share one.
        case: the case whose bit errors count as "best"; None is the first one evaluated.
    """

    def __init__(
        self,
        total_steps: int,
        verbose: bool,
        console: Console | None = None,
        case: str | None = None,
    ) -> None:
        self._total = total_steps
        self._verbose = verbose
        self._console = console or rich.get_console()
        self._case = case
        self._open = ExitStack()
        self._live: LiveProgress | None = None
        self._first: tuple[int, float] | None = None  # step and time of the first update
        self._printed: tuple[int, float] | None = None  # of the last plain line
        self.best: float | None = None

    def __enter__(self) -> Self:
        if _has_live_line(self._console):
            terminal = (sys.stdout, sys.stderr)
            self._live = self._open.enter_context(_live_line(self._console))
            self._live.add_task("compiling the first step", total=self._total)
            self._open.enter_context(_logging_above(terminal))
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live = None
        self._open.close()

    def update(
        self, step: int, sequences_per_second: float, loss_bits: float, bit_errors: float
    ) -> None:
        """Shows the state after this step; loss and bit errors are a sequence's, in training."""
        now = time.monotonic()
        self._first = self._first or (step, now)
        parts = [
            f"{step}/{self._total}",
            f"{sequences_per_second:,.0f} seq/s",
            f"loss {_short(loss_bits)}",
            f"bit errors {_short(bit_errors)}",
            *([] if self.best is None else [f"best {_short(self.best)}"]),
            *self._time_left(step, now),
        ]
        if self._live is not None:
            task = self._live.task_ids[0]
            self._live.update(task, completed=step, description="  ".join(parts))
        elif self._is_due(step, now):
            self._printed = (step, now)
            LOG.info("step " + ", ".join(parts))

    def evaluated(self, step: int, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Notes the bit errors of every case, and with `verbose` its breakdown if it is there."""
        errors = {case: summary["bit_errors_per_sequence"] for case, summary in results.items()}
        self._case = self._case or next(iter(errors))
        if self._case in errors:
            self.best = min(errors[self._case], math.inf if self.best is None else self.best)
        listed = ", ".join(f"{case} {_short(value)}" for case, value in errors.items())
        self.note(f"step {step}, bit errors a sequence: {listed}")
        for case, summary in results.items():
            if self._verbose and "accuracy_by_bit" in summary:
                self.note(breakdown_text(case, summary))

    def extend(self, total_steps: int) -> None:
        """The training will end at a later iteration than was said."""
        self._total = total_steps
        if self._live is not None:
            self._live.update(self._live.task_ids[0], total=total_steps)

    def note(self, text: str) -> None:
        """Writes a line that stays, above the live line and in the log."""
        LOG.info(text)

    def _time_left(self, step: int, now: float) -> list[str]:
        if self._first is None or step <= self._first[0]:
            return []
        seconds = (now - self._first[1]) / (step - self._first[0]) * (self._total - step)
        minutes, seconds = divmod(max(0, round(seconds)), 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        return [f"{clock} left"]

    def _is_due(self, step: int, now: float) -> bool:
        if self._printed is None or step >= self._total:
            return True
        last_step, last_time = self._printed
        return step - last_step >= PLAIN_SHARE * self._total or now - last_time >= PLAIN_SECONDS


def print_results(
    results: Mapping[str, Mapping[str, Any]], title: str, console: Console | None = None
) -> None:
    """Prints a table of the cases, one row a case, one column a number."""
    console = console or rich.get_console()
    metrics = list(
        dict.fromkeys(
            name
            for summary in results.values()
            for name, value in summary.items()
            if isinstance(value, Real)
        )
    )
    table = Table(title=title, title_justify="left", box=ROUNDED if console.is_terminal else ASCII)
    table.add_column("case", no_wrap=True)
    for name in metrics:
        table.add_column(HEADINGS.get(name, _heading(name)), justify="right")
    for case, summary in results.items():
        table.add_row(case, *(_cell(name, summary.get(name)) for name in metrics))
    if console.is_terminal:
        console.print(table)
    else:  # as wide as it must be: a file has no width
        wide = console.options.update(width=PLAIN_WIDTH)
        needed = wide.update(width=Measurement.get(console, wide, table).maximum)
        text = "".join(segment.text for segment in console.render(table, needed))
        lines = "\n".join(line.rstrip() for line in text.splitlines())
        # At once: a notebook frames whatever is printed at a time.
        console.print(lines, markup=False, highlight=False, soft_wrap=True)


def breakdown_text(case: str, summary: Mapping[str, Any]) -> str:
    """The two arrays of `breakdown` as short lines of percentages, counted from 1."""
    return "\n".join(
        [
            f"{case}: percent right by output bit",
            *_numbered_lines(summary["accuracy_by_bit"]),
            f"{case}: percent right by position",
            *_numbered_lines(summary["accuracy_by_position"]),
        ]
    )


def _numbered_lines(shares: np.ndarray) -> Iterator[str]:
    """Ten values a line; many positions are averaged in blocks, which the numbers show."""
    block = math.ceil(len(shares) / MOST_VALUES)
    values = [
        float(np.mean(shares[start : start + block])) for start in range(0, len(shares), block)
    ]
    for start in range(0, len(values), VALUES_A_LINE):
        line = values[start : start + VALUES_A_LINE]
        first, last = start * block + 1, min((start + len(line)) * block, len(shares))
        yield f"  {f'{first}-{last}':>9}  " + " ".join(f"{_percent(value):>5}" for value in line)


def _percent(share: float, digits: int = 1) -> str:
    """Rounded down, so that only a faultless result shows as 100."""
    if not math.isfinite(share):
        return "-"
    scale = 10**digits
    floor = math.floor(100 * share * scale + 1e-6) / scale
    return "100" if floor >= 100 else f"{floor:.{digits}f}"


def _short(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 0.1 else f"{value:.3g}"


def _cell(name: str, value: Any) -> str:
    if not isinstance(value, Real):
        return "-"
    return f"{_percent(float(value), 2)} %" if name in SHARES else f"{float(value):.3g}"


def _heading(name: str) -> str:
    """`excess_bits_per_sequence` on two lines, as the task names it."""
    words = name.removesuffix("_per_sequence").replace("_after_", "\nafter ").replace("_", " ")
    return f"{words}\na sequence" if name.endswith("_per_sequence") else words


def _has_live_line(console: Console) -> bool:
    """Whether a line can be drawn over. Where a notebook calls a command with `!`, it cannot.

    The command finds a terminal there, of which the notebook keeps everything that is written.
    """
    in_notebook = "JPY_PARENT_PID" in os.environ
    return console.is_terminal and not console.is_dumb_terminal and not in_notebook


def _live_line(console: Console) -> LiveProgress:
    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
    columns = (text, BarColumn(bar_width=None)) if console.width >= BAR_FROM_WIDTH else (text,)
    return LiveProgress(
        *columns, console=console, refresh_per_second=2, transient=True, expand=True
    )


@contextmanager
def _logging_above(terminal: Sequence[Any]) -> Iterator[None]:
    """Lets log lines appear above the live line instead of in the middle of it.

    Handlers hold the stream that was `sys.stdout` when they were made; while the live line is on,
    rich has put a stream of its own there that prints above it.
    """
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = {
        handler
        for logger in loggers
        for handler in getattr(logger, "handlers", ())
        if isinstance(handler, logging.StreamHandler)
    }
    moved = [(handler, handler.stream) for handler in handlers if handler.stream in terminal]
    for handler, stream in moved:
        handler.setStream(sys.stdout if stream is terminal[0] else sys.stderr)
    try:
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)
