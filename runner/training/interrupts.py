"""SIGINT and SIGTERM end a run at a moment at which nothing of it is lost.

Both become a `KeyboardInterrupt`, after which the training writes a checkpoint: schedulers end a
job with SIGTERM. Where an exception would lose what was just computed, `held` puts it off.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Interrupt:
    """What has come of a signal so far.

    held: how many `held` this is in, and waiting: whether a signal came inside of them; inside: how
    many `as_exceptions` this is in, and came: whether a signal came inside of these.
    """

    held = 0
    waiting = False
    inside = 0
    came = False


_interrupt = _Interrupt()


@contextmanager
def as_exceptions() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first of these signals; ignore all that follow.

    A second one would end the saving: a scheduler's comes to all processes of a sweep, and the end
    of the sweep sends another. Inside of another `as_exceptions` the signals stay ignored until
    that one ends, too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if not _interrupt.inside:
        _interrupt.held = 0
        _interrupt.waiting = _interrupt.came = False
    if not _interrupt.came:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # as of a job that a shell runs in the background
                signal.signal(number, _handle)
    _interrupt.inside += 1
    try:
        yield
    finally:
        _interrupt.inside -= 1
        if not (_interrupt.inside and _interrupt.came):
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """Put a signal that comes inside off until the end, of the outermost one."""
    _interrupt.held += 1
    try:
        yield
    finally:
        _interrupt.held -= 1
    if _interrupt.waiting and not _interrupt.held:
        _interrupt.waiting = False
        raise KeyboardInterrupt


def ignored() -> None:
    """Ignore these signals from now on: this process ends anyway, and saves before."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def _handle(*_: Any) -> None:
    _interrupt.came = True
    ignored()
    if not _interrupt.held:
        raise KeyboardInterrupt
    _interrupt.waiting = True
