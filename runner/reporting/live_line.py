"""The line of a terminal that shows how a training goes, with log lines above it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as LiveProgress
from rich.table import Column

BAR_FROM_WIDTH = 100


def live_line(console: Console) -> LiveProgress:
    """A line that is gone at the end; a bar beside its text where there is room."""
    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
    columns = (text, BarColumn(bar_width=None)) if console.width >= BAR_FROM_WIDTH else (text,)
    return LiveProgress(
        *columns, console=console, refresh_per_second=2, transient=True, expand=True
    )


@contextmanager
def logging_above(terminal: Sequence[Any]) -> Iterator[None]:
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
