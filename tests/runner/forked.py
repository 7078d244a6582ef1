"""A process that has imported everything heavy and forks for each command line of run.py.

Reads one JSON list a line, `[folder, memory, seconds, arguments]`, and answers each with
`[status, output]`: the exit status, negative for a signal, and what was written to both streams.
Nothing of TensorFlow is used before a fork, only imported.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    os.environ["MPLBACKEND"] = "agg"
    sys.path.insert(0, str(ROOT))
    from runner import job  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)


def answer(folder: str, memory: int, seconds: int, arguments: list[str]) -> tuple[int, str]:
    with tempfile.TemporaryFile() as written:
        child = os.fork()
        if child == 0:
            run(folder, memory, seconds, arguments, written)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        written.seek(0)
        return status, written.read().decode(errors="replace")


def run(folder: str, memory: int, seconds: int, arguments: list[str], written: IO[Any]) -> None:
    """Be `python run.py` in a folder, with so many bytes of memory, and end the process."""
    os.dup2(written.fileno(), 1)
    os.dup2(written.fileno(), 2)
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
