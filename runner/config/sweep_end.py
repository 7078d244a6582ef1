"""How a sweep ends, also when it is interrupted: its jobs are waited for.

A launcher that is interrupted leaves its jobs behind, which save what they have. They hold the
locks of their directories until they are done.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from runner.config.ownership import LOCK
from runner.training import interrupts

SECONDS = 1.0  # after which a person is told what is waited for
LONGEST_WAIT = 300.0  # as long as a large model may take to be written


class Sweep(NamedTuple):
    """A sweep that this process has started; `here`: whether its jobs run on this machine."""

    root: Path
    here: bool


class _Started:
    sweep: Sweep | None = None


_started = _Started()
ends = ExitStack()  # what is closed when the jobs have ended, before the table is written


def begin(sweep: Sweep) -> None:
    """Note the sweep that this process starts."""
    _started.sweep = sweep


def started() -> Sweep | None:
    """The sweep that this process has started, if any."""
    return _started.sweep


@contextmanager
def waited() -> Iterator[None]:
    """Leave no job of a sweep on this machine behind, however the sweep ends."""
    try:
        yield
    finally:
        sweep = _started.sweep
        if sweep is not None and sweep.here:
            _wait(sweep.root)
        ends.close()


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM end a sweep as SIGINT does: with all that is done at its end."""
    with interrupts.as_exceptions():
        yield


def _wait(root: Path) -> None:
    """Wait until no job holds its directory any more."""
    began, said = time.monotonic(), False
    while waiting := [path for path in _runs(root, LOCK) if _is_held(path)]:
        seconds = time.monotonic() - began
        if seconds > LONGEST_WAIT:
            return
        if seconds > SECONDS and not said:
            names = ", ".join(str(path.parent.relative_to(root)) for path in waiting)
            print(
                f"waiting for jobs that save what they have: {names}", file=sys.stderr, flush=True
            )
            said = True
        time.sleep(0.1)


def _runs(root: Path, name: str) -> list[Path]:
    """The files of this name in the directories of runs, in their order."""
    found = [path for path in root.rglob(name) if path.parent != root]
    return sorted(found, key=lambda path: (len(path.parent.name), path))


def _is_held(path: Path) -> bool:
    try:
        with FileLock(path).acquire(blocking=False):
            return False
    except (Timeout, OSError):
        return path.exists()
