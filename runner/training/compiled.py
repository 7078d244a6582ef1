"""Compiled programs kept on disk: a run of shapes seen before starts sooner.

XLA takes seconds to compile a training step. TensorFlow can keep the result and load it again;
the numbers that it computes are the same to the last bit (docs/performance.md).
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path

from runner.errors import RunError

log = logging.getLogger(__name__)

# A run keeps one to five million bytes. Above this the oldest go.
LARGEST = 256 * 2**20
# Where less is free nothing is kept: TensorFlow ends a run whose program it cannot write.
LEAST_FREE = 32 * 2**20
PROGRAMS = "xla_compile_cache*.pb"
# What TensorFlow says of a program that it cannot read or write.
FAILURES = (
    "xla_compile_cache",  # its path
    "Read less bytes than requested",
    "Serialized cache key does not match",
    "Failed to parse serialized",
)
FLAGS = "TF_XLA_FLAGS"
DIRECTORY_FLAG = "--tf_xla_persistent_cache_directory"


def keep(directory: str | None) -> None:
    """Make TensorFlow, which must not be imported yet, keep what it compiles for CPUs.

    directory: where, `auto` for the user's directory of caches, None for nowhere. Programs of each
        release of TensorFlow, each kind of processor and other `XLA_FLAGS` are kept apart in it, so
        that machines of a cluster may share it. A directory that cannot be written is not used,
        with a warning. `TF_XLA_FLAGS` comes first where it names a directory of its own, or a file
        of flags.
    """
    flags = os.environ.get(FLAGS, "").strip()
    if directory is None or DIRECTORY_FLAG in flags or flags[:1] not in ("-", ""):
        return
    try:
        chosen = user_cache_path("ntm") if directory == "auto" else Path(directory).expanduser()
        place = chosen.absolute() / _kind()
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
        if shutil.disk_usage(place).free < LEAST_FREE:
            raise OSError(f"{place} has less than {LEAST_FREE >> 20} MB of free space")
        prune(place, LARGEST)
    except (OSError, RuntimeError, ValueError) as error:  # The last two: no path at all.
        log.warning("compiled programs are not kept: %s (compilation_cache=null is quiet)", error)
        return
    own = f"{DIRECTORY_FLAG}={_quoted(place)} --tf_xla_persistent_cache_device_types=CPU"
    os.environ[FLAGS] = f"{flags} {own}".strip()


@contextmanager
def failures_explained() -> Iterator[None]:
    """Turn TensorFlow's error about a kept program into a RunError, and delete all of them.

    The error does not say which one it was, and this process cannot compile that program any more:
    TensorFlow remembers that it failed.
    """
    try:
        yield
    except Exception as error:
        reason, place = _failure(error), _directory_in(os.environ.get(FLAGS, ""))
        if reason is None or place is None:
            raise
        for path in place.glob(PROGRAMS):
            path.unlink(missing_ok=True)
        raise RunError(
            f"a compiled program kept in {place} cannot be read or written ({reason}). All "
            "that were kept there are deleted now: start the run again. If it comes again, name "
            "another folder with compilation_cache=..., or null to keep none."
        ) from error


def _quoted(path: Path) -> str:
    """A path for TensorFlow, which splits its flags at spaces outside of quotes."""
    text = re.sub(r'[\\"]', r"\\\g<0>", str(path))
    return f'"{text}"'


def _directory_in(flags: str) -> Path | None:
    """The directory of programs that flags name, quoted or not."""
    found = re.search(rf'{DIRECTORY_FLAG}=(?:"((?:\\.|[^"\\])*)"|(\S+))', flags)
    if found is None:
        return None
    return Path(found[2] or re.sub(r"\\(.)", r"\1", found[1]))


def prune(directory: Path, largest: int) -> None:
    """Delete the oldest files of a directory until at most `largest` bytes are left."""
    files = []
    for path in directory.iterdir():
        try:
            files.append((path.stat().st_mtime, path.stat().st_size, path))
        except FileNotFoundError:
            continue  # Another run has just deleted it.
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= largest:
            return
        path.unlink(missing_ok=True)
        total -= size


def _failure(error: Exception) -> str | None:
    """The line of TensorFlow's message that is about a kept program, if there is one."""
    lines = str(error).splitlines()
    return next((line for line in lines if any(sign in line for sign in FAILURES)), None)


def _kind() -> str:
    """A name for the machines, and flags of XLA, whose programs can stand for each other."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    processor = next((line for line in lines if line.startswith("flags")), platform.processor())
    parts = (platform.system(), platform.machine(), processor, os.environ.get("XLA_FLAGS", ""))
    return f"{version('tensorflow')}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"
