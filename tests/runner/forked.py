"""`python run.py` without its start: a process that has imported what takes long forks for each.

As a script it imports the modules that are its arguments, reads one JSON list a line, `[folder,
memory, seconds, arguments]`, and answers each with `[status, stdout, stderr]`; the status is
negative for a signal. Modules are only imported before a fork, nothing of them is used.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 6 * 2**30  # bytes, of which TensorFlow and its compiler take about one
SECONDS = 240


class Ended(NamedTuple):
    """How a command ended: its exit status, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


class Runs:
    """Runs `python run.py` in folders, with what `modules` import at hand."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self.server = server

    def __call__(self, folder: Path | str, *arguments: str) -> Ended:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        asked = json.dumps([str(folder), MEMORY, SECONDS, arguments])
        print(asked, file=self.server.stdin, flush=True)
        return Ended(*json.loads(self.server.stdout.readline()))


@contextmanager
def running(*modules: str) -> Iterator[Runs]:
    with subprocess.Popen(
        [sys.executable, __file__, *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        yield Runs(server)


def main() -> None:
    os.environ["MPLBACKEND"] = "agg"
    sys.path.insert(0, str(ROOT))
    for module in sys.argv[1:]:
        importlib.import_module(module)
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)


def answer(folder: str, memory: int, seconds: int, arguments: Sequence[str]) -> Ended:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            run(folder, memory, seconds, arguments, out, err)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return Ended(status, *map(text, (out, err)))


def text(written: IO[Any]) -> str:
    written.seek(0)
    return str(written.read().decode(errors="replace"))


def run(
    folder: str,
    memory: int,
    seconds: int,
    arguments: Sequence[str],
    out: IO[Any],
    err: IO[Any],
) -> None:
    """Be `python run.py` in a folder, with so many bytes of memory, and end the process."""
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    signal.alarm(seconds)
    sys.argv = ["run.py", *arguments]
    status = 0
    try:
        runpy.run_path(str(ROOT / "run.py"), run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
