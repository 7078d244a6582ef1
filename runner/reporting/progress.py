"""How a training goes, told as it goes: a live line in a terminal, plain lines elsewhere.

Lines that stay go through `logging`, so that they reach the console and `run.log` alike.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import rich
from rich.console import Console
from rich.progress import Progress as LiveProgress

from runner.config import jobs
from runner.reporting.heartbeat import Heartbeat
from runner.reporting.live_line import live_line, logging_above
from runner.reporting.results_text import breakdown_text, short

LOG = logging.getLogger(__name__)

PLAIN_SHARE, PLAIN_SECONDS = 0.05, 60.0  # a plain line at every twentieth, or every minute


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
        self._label = jobs.label()
        self._heartbeat = Heartbeat()
        self.best: float | None = None

    def __enter__(self) -> Self:
        if _has_live_line(self._console):
            terminal = (sys.stdout, sys.stderr)
            self._live = self._open.enter_context(live_line(self._console))
            self._live.add_task(self._labelled("compiling the first step"), total=self._total)
            self._open.enter_context(logging_above(terminal))
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live = None
        self._open.close()
        self._heartbeat.end()

    def update(
        self, step: int, sequences_per_second: float, loss_bits: float, bit_errors: float
    ) -> None:
        """Shows the state after this step; loss and bit errors are a sequence's, in training."""
        now = time.monotonic()
        self._first = self._first or (step, now)
        left = self._time_left(step, now)
        parts = [
            f"{step}/{self._total}",
            f"{sequences_per_second:,.0f} seq/s",
            f"loss {short(loss_bits)}",
            f"bit errors {short(bit_errors)}",
            *([] if self.best is None else [f"best {short(self.best)}"]),
            *([] if left is None else [f"{left} left"]),
        ]
        self._heartbeat.tell(
            step=parts[0], loss=short(loss_bits), bit_errors=short(bit_errors), left=left or ""
        )
        if self._live is not None:
            task = self._live.task_ids[0]
            self._live.update(task, completed=step, description=self._labelled("  ".join(parts)))
        elif self._is_due(step, now):
            self._printed = (step, now)
            LOG.info("step " + ", ".join(parts))

    def evaluated(self, step: int, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Notes the bit errors of every case, and with `verbose` its breakdown if it is there."""
        errors = {case: summary["bit_errors_per_sequence"] for case, summary in results.items()}
        self._case = self._case or next(iter(errors))
        if self._case in errors:
            self.best = min(errors[self._case], math.inf if self.best is None else self.best)
        listed = ", ".join(f"{case} {short(value)}" for case, value in errors.items())
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

    def _labelled(self, text: str) -> str:
        return text if self._label is None else f"{self._label}  {text}"

    def _time_left(self, step: int, now: float) -> str | None:
        if self._first is None or step <= self._first[0]:
            return None
        seconds = (now - self._first[1]) / (step - self._first[0]) * (self._total - step)
        minutes, seconds = divmod(max(0, round(seconds)), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

    def _is_due(self, step: int, now: float) -> bool:
        if self._printed is None or step >= self._total:
            return True
        last_step, last_time = self._printed
        return step - last_step >= PLAIN_SHARE * self._total or now - last_time >= PLAIN_SECONDS


def _has_live_line(console: Console) -> bool:
    """Whether a line can be drawn over. Where a notebook calls a command with `!`, it cannot.

    The command finds a terminal there, of which the notebook keeps everything that is written.
    """
    in_notebook = "JPY_PARENT_PID" in os.environ
    return console.is_terminal and not console.is_dumb_terminal and not in_notebook
