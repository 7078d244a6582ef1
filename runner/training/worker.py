"""A process beside this one, in which job after job runs: what kills it ends one job alone.

Hydra's basic launcher is the sweep itself, and joblib ends a sweep when one of its workers dies.
Their jobs run beside them, so that neither does. The process is kept between jobs, because
TensorFlow takes seconds to import; after its death the next job gets a new one.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

try:  # Ray's workers have classes of Hydra twice, which plain pickle refuses.
    from cloudpickle import dumps  # type: ignore[import-untyped]
except ImportError:
    from pickle import dumps

from runner.errors import ConfigError, RunError
from runner.training import cores, interrupts

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 0.5  # between two looks at who started this process
# What a process is asked for besides its end: cluster's notices are for the launcher.
NOTICES = (signal.SIGUSR1, signal.SIGUSR2)


class WorkerError(RunError):
    """The process of a job has ended without a word; `code` as of `subprocess.Popen`."""

    def __init__(self, code: int) -> None:
        super().__init__(_how(code))
        self.code = code


class Worker:
    """A process that calls functions; it starts with the first one.

    own: the cores that it is to keep to; none: it may use all.
    """

    def __init__(self, own: Collection[int] = ()) -> None:
        self._own = [str(core) for core in own]
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._called = False  # and not answered yet

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function, which must be importable, returns for these arguments there.

        An interrupt here, or the end of the process that started this one as a worker, ends the
        call: the function gets a SIGTERM, and what it does about it is waited for.

        Raises WorkerError when the process ends without an answer. An error of the function that is
        neither a ConfigError nor a RunError comes as a RunError with its name.
        """
        with interrupts.as_exceptions():
            try:
                outcome, value = self._exchange((function, arguments))
            except (EOFError, OSError):
                raise WorkerError(self._end()) from None
            except BaseException:
                self.stop()
                raise
        if outcome == "returned":
            return value
        if outcome == "interrupted":
            self.stop()
            raise KeyboardInterrupt
        raise value

    def interrupt(self) -> None:
        """Ask the function that another thread has called to end."""
        process = self._process
        if process is not None:
            process.terminate()

    def stop(self) -> None:
        """Ask the function that is being called to end, and wait until it has."""
        if self._process is None or self._connection is None:
            return
        if self._called:
            self._process.terminate()
            with suppress(EOFError, OSError):
                self._connection.recv_bytes()
        self._end()

    def _exchange(self, call: Any) -> tuple[str, Any]:
        if self._process is None or self._connection is None:
            self._start()
        assert self._connection is not None
        self._called = True
        self._connection.send_bytes(dumps(call))
        parent = multiprocessing.parent_process()
        while not self._connection.poll(SECONDS):
            if parent is not None and os.getppid() != parent.pid:
                signal.raise_signal(signal.SIGTERM)  # The sweep is gone, and so are its workers.
        outcome: tuple[str, Any] = pickle.loads(self._connection.recv_bytes())
        self._called = False
        return outcome

    def _start(self) -> None:
        mine, its = socket.socketpair()
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with its:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", __name__),
                    *(str(its.fileno()), str(os.getpid()), *self._own),
                ],
                pass_fds=[its.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        self._connection = Connection(mine.detach())

    def _end(self) -> int:
        """Let the process go, and return how it has ended."""
        assert self._process is not None
        assert self._connection is not None
        self._connection.close()
        code = self._process.wait()
        self._process = self._connection = None
        self._called = False
        return code


def serve(connection: Connection, parent: int) -> None:
    """Be the process beside `parent`: answer its calls until it hangs up."""
    for number in interrupts.SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # Nothing runs that it could end.
    for number in NOTICES:
        signal.signal(number, signal.SIG_IGN)
    # A thread that took a signal would leave the main one, which acts on it, asleep.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, interrupts.SIGNALS)
    threading.Thread(target=_end_without, args=(parent,), name="parent", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with suppress(EOFError, OSError):
        while True:
            connection.send_bytes(dumps(_outcome(*pickle.loads(connection.recv_bytes()))))


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[str, Any]:
    try:
        with interrupts.as_exceptions():
            return "returned", function(*arguments)
    except KeyboardInterrupt:
        return "interrupted", None
    except (ConfigError, RunError) as error:
        return "raised", type(error)(str(error))
    except Exception as error:
        return "raised", RunError(f"{type(error).__name__}: {error}")


def _end_without(parent: int) -> None:
    """Wait until the parent is gone, when the kernel names another one, then end what runs."""
    while os.getppid() == parent:
        time.sleep(SECONDS)
    log.warning("the sweep that started this job is gone")
    os.kill(os.getpid(), signal.SIGTERM)


def _how(code: int) -> str:
    """How a process has ended, for a person."""
    if code == -signal.SIGKILL:
        return (
            "its process was killed (SIGKILL), by a person or by a machine that runs out of memory"
        )
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended by itself, with status {code}"


if __name__ == "__main__":
    cores.keep_to({int(core) for core in sys.argv[3:]})
    serve(Connection(int(sys.argv[1])), int(sys.argv[2]))
