"""A job in a process of its own, such as one of hydra/launcher=joblib, ends with its sweep.

A sweep that is killed cannot stop its workers. They would train on, and start the jobs that wait.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

log = logging.getLogger(__name__)

SECONDS = 0.5  # between two looks


@contextmanager
def ends_with_its_sweep() -> Iterator[None]:
    """Send this process a SIGTERM when the one that started it as a worker is gone.

    A job inside turns the signal into its end, and the process ends after it. A run that was
    started from a shell is no worker: it may outlive the shell.
    """
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        yield
        return
    _watch(parent.pid)
    try:
        yield
    finally:
        if os.getppid() != parent.pid:
            signal.raise_signal(signal.SIGTERM)  # else joblib goes on with the next job


@cache  # Once a process, which runs several jobs.
def _watch(parent: int) -> None:
    threading.Thread(target=_end_without, args=(parent,), name="parent", daemon=True).start()


def _end_without(parent: int) -> None:
    """Wait until the parent is gone: the kernel then names another one."""
    while os.getppid() == parent:
        time.sleep(SECONDS)
    log.warning("the sweep that started this job is gone")
    os.kill(os.getpid(), signal.SIGTERM)
