"""What a machine runs out of or does not allow, in one paragraph: memory, disk, folders.

Imports nothing heavy: TensorFlow's errors are known by their names.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.config import footprint
from runner.errors import RunError
from runner.store.files import STATUS, as_override

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
MISSING = (errno.ENOENT, errno.ENOTDIR)
OTHERS = (
    *(errno.EIO, errno.ESTALE, errno.EFBIG, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE),
    *(errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENODEV, errno.EBUSY),
)
OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "bad_alloc")
LONGEST_LINE = 200
# In every run directory.
FOLDERS = ("checkpoints", "figures")
ELSEWHERE = "name another folder with hydra.run.dir=... (a sweep: hydra.sweep.dir=...)"
SMALLER = (
    "Smaller values of trainer.batch_size, evaluate.batch_size, ntm.n_width or the task's sizes "
    "need less, and so do the states of a step with ntm.gradient_checkpointing"
)


def reason(error: BaseException, place: str = "a file") -> str | None:
    """One paragraph for an error that the machine has caused, None for any other.

    place: what cannot be written, for an error that does not name it.
    """
    if _out_of_memory(error):
        return f"the machine's memory is used up ({_line(error)}). {SMALLER}."
    number, place = _number(error), str(_path(error) or place)
    if number in FULL:
        return (
            f"{place} cannot be written: no space is left on its disk. Free some, or {ELSEWHERE}."
        )
    if number in FORBIDDEN:
        return f"{place} cannot be written ({os.strerror(number)}): {ELSEWHERE}."
    if number in MISSING:
        return f"{place} cannot be made or opened ({os.strerror(number)}): {ELSEWHERE}."
    return f"{place}: {os.strerror(number)}. {ELSEWHERE.capitalize()}." if number else None


@contextmanager
def failures_explained(config: Any, directory: Path) -> Iterator[None]:
    """Raise what the machine has caused in a run as a RunError that says how to go on.

    A thread that writes events ends with the same error, which needs no trace of its own.
    """
    shown = threading.excepthook

    def quietly(thread: threading.ExceptHookArgs) -> None:
        if thread.exc_value is None or reason(thread.exc_value) is None:
            shown(thread)

    threading.excepthook = quietly
    try:
        yield
    except Exception as error:
        text = reason(error, f"a file in {directory}")
        if isinstance(error, RunError) or text is None:
            raise
        if _out_of_memory(error):
            text = f"{text} {footprint.in_words(config)}"
        elif _was_deleted(directory):
            text = f"{directory}, or a folder in it, was deleted while the run wrote to it."
        raise RunError(text + go_on(directory)) from error
    finally:
        threading.excepthook = shown


def _was_deleted(directory: Path) -> bool:
    """Whether a run directory, or what a run made in it when it began, is gone."""
    begun = (directory / STATUS).exists()
    return not directory.is_dir() or (
        begun and not all((directory / name).is_dir() for name in FOLDERS)
    )


def go_on(directory: Path) -> str:
    """What to do about a run that this has ended, as a sentence with a space before it."""
    if not any((directory / "checkpoints").glob("step_*.npz")):
        return " It left no checkpoint: start the run again."
    return f" The last checkpoint is whole: go on with {as_override('resume', directory)}."


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) or _number(error) is not None:
        return False
    text = str(error)
    exhausted = type(error).__name__ == "ResourceExhaustedError"
    return exhausted or any(sign in text for sign in OUT_OF_MEMORY)


def _number(error: BaseException) -> int | None:
    """The errno of a failure of the file system, also where only the text has it, or the cause."""
    known = (*FULL, *FORBIDDEN, *MISSING, *OTHERS)
    for each in _causes(error):
        if isinstance(each, OSError) and each.errno in known:
            return each.errno
        if isinstance(each, OSError) or type(each).__module__.startswith("tensorflow"):
            told = (*FULL, *FORBIDDEN, *MISSING, errno.EIO)
            return next((number for number in told if os.strerror(number) in str(each)), None)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, its cause, and so on; OmegaConf's, under a debugger, come back to themselves."""
    seen: list[BaseException] = []
    while error is not None and not any(error is each for each in seen):
        seen.append(error)
        yield error
        error = error.__cause__


def _path(error: BaseException) -> Path | None:
    """The file that an error names; the folder, for a file that was not finished."""
    found = next((each for each in _causes(error) if isinstance(each, OSError)), None)
    if found is None or not isinstance(found.filename, str):
        return None
    path = Path(found.filename)
    return path.parent if path.name.startswith(".") and path.suffix else path


def _line(error: BaseException) -> str:
    """The line of an error's text that says what was asked for, in short."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = (line for line in lines if any(sign in line for sign in OUT_OF_MEMORY))
    line: str = next(told, lines[0] if lines else type(error).__name__)
    return line if len(line) < LONGEST_LINE else f"{line[:LONGEST_LINE]}..."
