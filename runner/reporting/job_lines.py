"""Every line that a job of a sweep writes to the console says which job it is."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from runner.config import jobs


@contextmanager
def labelled() -> Iterator[None]:
    """Put the label of this job before the lines of the standard streams, as far as it has one.

    In a terminal, where one job at a time draws a live line of its own, before log lines alone.
    """
    label = jobs.label()
    if label is None or sys.stdout.isatty():
        yield
        return
    with (
        redirect_stdout(Labelled(sys.stdout, label)) as out,
        redirect_stderr(Labelled(sys.stderr, label)) as errors,
    ):
        yield
        out.end()
        errors.end()


def settle() -> None:
    """Let log lines in a terminal say which job they are of, or none be seen beside a table.

    To be called when logging has been configured.
    """
    import rich

    label = jobs.label()
    if label is None:
        return
    if jobs.in_table():
        rich.reconfigure(quiet=True, force_terminal=False)
    for handler in list(logging.root.handlers):
        if type(handler) is not logging.StreamHandler:
            continue  # run.log is of one job
        if jobs.in_table():
            logging.root.removeHandler(handler)
        elif sys.stdout.isatty():
            handler.setFormatter(_Labelling(handler.formatter or logging.Formatter(), label))


class Labelled(io.TextIOBase):
    """A text stream that writes whole lines to another, each with a label before it."""

    def __init__(self, stream: TextIO, label: str) -> None:
        self._stream = stream
        self._label = label
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._stream.write(f"{self._label}: {line}\n")
        return len(text)

    def end(self) -> None:
        """Write what is left of a line."""
        if self._begun:
            self.write("\n")
        self._stream.flush()

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream, which rich asks for."""
        return self._stream.encoding


class _Labelling(logging.Formatter):
    def __init__(self, inner: logging.Formatter, label: str) -> None:
        super().__init__()
        self._inner = inner
        self._label = label

    def format(self, record: Any) -> str:
        lines = self._inner.format(record).split("\n")
        return "\n".join(f"{self._label}: {line}" for line in lines)
