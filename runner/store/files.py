"""The files of a run, written whole or not at all: a reader never meets half of one.

Folders are made once, where a run or a command begins (`make`). No file brings its folder back: a
run whose directory is deleted meanwhile ends with an error, and not as a torso that looks whole.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from runner.errors import ConfigError

# What `replace_with` calls a file until it is whole.
UNFINISHED = re.compile(r"\..*-[0-9a-f]{32}(\.[^.]*)?")
MODEL, METRICS, STATUS, HISTORY = "model.keras", "metrics.json", "status.json", "history.json"


def as_override(key: str, path: Path) -> str:
    """`key=path` as one types it: in quotes where Hydra and the shell want them."""
    value = str(path)
    if not re.fullmatch(r"[\w/.+:@%~ -]*", value, re.ASCII):
        escaped = value.replace('"', '\\"')
        value = f'"{escaped}"'
    return shlex.quote(f"{key}={value}")


def make(folder: Path | str, *inside: str) -> None:
    """Make a folder with what it lacks above it, and folders inside of it."""
    for path in (Path(folder), *(Path(folder) / name for name in inside)):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def replace_with(path: Path | str) -> Iterator[Path]:
    """Yield a new path in the folder of `path`, and rename it to `path` when the block succeeds.

    The block writes one file to the path it is given, whose suffix is that of `path`. If the block
    fails, what it wrote is removed and the file that was at `path` stays as it was. The folder must
    be there.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _to_disk(path.parent)


def unfinished(folder: Path) -> list[Path]:
    """What killed processes have left half-written in a folder by `replace_with`."""
    return [path for path in folder.glob(".*") if UNFINISHED.fullmatch(path.name)]


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8."""
    with replace_with(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON; numbers that are not finite, which JSON lacks, as null."""
    write_text(path, json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return what a JSON file holds, an empty map if it was not written yet.

    Raises ConfigError, with the path, for one that cannot be read.
    """
    return _read(path, "JSON", json.loads)


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds, as `read_json` does. References (`${...}`) stay text."""
    return _read(path, "YAML", lambda text: OmegaConf.to_container(OmegaConf.create(text)))


def _read(path: Path, kind: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8")) if path.exists() else {}
    except Exception as error:  # What a parser raises depends on which byte is wrong.
        problem = f"is not readable as {kind} ({_reason(error)})"
        raise ConfigError(unreadable(path, problem)) from None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return " ".join(str(error).split()) or type(error).__name__


def unreadable(path: Path, problem: str) -> str:
    """The message for a file of a run that is of no use, and what to do about it."""
    return (
        f"{path} {problem}: it was damaged or changed since it was written. Restore it from a "
        "copy, or state another run."
    )


def damage(path: Path) -> str | None:
    """Why a zip file, such as a model or a checkpoint, cannot be read; None if it is whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except Exception as error:  # What zipfile raises depends on which byte is wrong.
        return str(error) or type(error).__name__
    return None if part is None else f"its part {part!r} is not what was written"


def _plain(value: Any) -> Any:
    """Return `value` with plain containers and numbers only, e.g. for NumPy scalars."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _to_disk(path: Path) -> None:
    """Wait until a file's content or a folder's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
