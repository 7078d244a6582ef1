"""Compiled programs kept on disk: a run of shapes seen before starts sooner.

XLA takes seconds to compile a training step. TensorFlow can keep the result and load it again;
the numbers that it computes are the same to the last bit (docs/performance.md).
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

log = logging.getLogger(__name__)

# A run keeps one to five million bytes. Above this the oldest go.
LARGEST = 256 * 2**20
FLAGS = "TF_XLA_FLAGS"
DIRECTORY_FLAG = "--tf_xla_persistent_cache_directory"


def keep(directory: str | None) -> None:
    """Make TensorFlow, which must not be imported yet, keep what it compiles for CPUs.

    directory: where, None for nowhere. Programs of each release of TensorFlow and each kind of
        processor are kept apart in it, so that machines of a cluster may share it. One that
        cannot be written is not used, with a warning. `TF_XLA_FLAGS` comes first where it names
        a directory of its own.
    """
    flags = os.environ.get(FLAGS, "")
    if directory is None or DIRECTORY_FLAG in flags:
        return
    place = Path(directory).expanduser().absolute() / _kind()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
        prune(place, LARGEST)
    except OSError as error:
        log.warning("compiled programs are not kept: %s (compilation_cache=null is quiet)", error)
        return
    own = f"{DIRECTORY_FLAG}={place} --tf_xla_persistent_cache_device_types=CPU"
    os.environ[FLAGS] = f"{flags} {own}".strip()


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


def _kind() -> str:
    """A name for the machines that can run each other's programs."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    processor = next((line for line in lines if line.startswith("flags")), platform.processor())
    parts = (platform.system(), platform.machine(), processor)
    return f"{version('tensorflow')}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"
