"""A directory belongs to one run: the same configuration goes on in it, any other is refused.

What a directory holds is asked of its checkpoint and of `.hydra/config.yaml`. Nothing in it is
written before this run is known to own it, and no second process writes beside the first.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from runner.config import saved
from runner.errors import ConfigError
from runner.store import checkpoint, records
from runner.store.checkpoint import CHECKPOINTS
from runner.store.files import MODEL, as_override, make, unfinished
from runner.store.model_file import fault

log = logging.getLogger(__name__)

LOCK = ".lock"
# Files by which the directory of a sweep is known.
OF_A_SWEEP = ("multirun.yaml", "jobs.json", "sweep.csv")
ENDED = ("solved", "finished")
# Values that say where and how a run is computed and shown, not what it is.
HOW = (
    *("device", "compilation_cache", "resume", "recipe"),
    *("trainer.verbose", "trainer.histograms", "trainer.profile"),
)
NAMES = {"train": "a training", "evaluate": "an evaluation", "show": "a page of a machine"}
CHOICE = ".name"  # the key of the option that was chosen of a group
MOST_KEYS = 6  # that a refusal lists


def check(config: DictConfig, directory: Path) -> None:
    """Refuse a directory that another run owns, or that a living process works in.

    Only reads. config: as `runner.config.checks.resolve` returns it. Raises ConfigError.
    """
    _check_place(config, directory)
    if not directory.is_dir():
        return
    with _lock(directory) if (directory / LOCK).exists() else nullcontext():
        _check_owner(config, directory)


def check_sweep(root: Path) -> None:
    """Refuse a directory of a run, or one inside of it, for a sweep. Raises ConfigError."""
    run = _run_around(root / "0")
    if run is not None:
        raise ConfigError(
            f"hydra.sweep.dir={root} is, or lies in, the directory of the run {run}: state another "
            "directory for the sweep."
        )


def _check_place(config: DictConfig, directory: Path) -> None:
    """Refuse a directory whose run could not be told from another run or a sweep."""
    run = _run_around(directory)
    if run is not None:
        raise ConfigError(
            f"{directory} lies in the directory of another run, {run}: state a directory outside "
            "of it (hydra.run.dir=...), or leave hydra.run.dir out."
        )
    found = next((name for name in OF_A_SWEEP if (directory / name).exists()), None)
    if found is not None:
        raise ConfigError(
            f"{directory} is the directory of a sweep, with {found} in it: state another one "
            "(hydra.run.dir=...), or leave hydra.run.dir out."
        )
    if config.init_from is not None and Path(config.init_from) == directory.absolute():
        raise ConfigError(
            f"init_from={directory} begins a new training, which has a directory of its own: leave "
            "hydra.run.dir out or name another one, or go on here with "
            f"{as_override('resume', directory)}."
        )


def _run_around(directory: Path) -> Path | None:
    """The nearest directory of a run that a directory lies in."""
    above = directory.absolute().parents
    return next((folder for folder in above if (folder / saved.CONFIG).is_file()), None)


@contextmanager
def claimed(config: DictConfig, directory: Path) -> Iterator[None]:
    """Hold a directory for this run: no other process can, until this one leaves or dies.

    What a killed process has left half-written is deleted. Raises ConfigError as `check` does. A
    directory that was empty, and is so when an error ends the run, is removed.
    """
    _check_place(config, directory)
    new = not directory.exists() or not any(directory.iterdir())
    try:
        with held(directory):
            _check_owner(config, directory)
            _clean(directory)
            yield
    except BaseException:
        if new and directory.is_dir() and {path.name for path in directory.iterdir()} <= {LOCK}:
            (directory / LOCK).unlink(missing_ok=True)
            directory.rmdir()
        raise


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory, which is made if missing. Raises ConfigError if it is held."""
    make(directory)
    with _lock(directory):
        (directory / LOCK).write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
        yield


def holder(directory: Path) -> str | None:
    """The process that works in a directory, as its lock names it; None if there is none.

    A process on another machine whose lock cannot be seen from here counts as working.
    """
    path = directory / LOCK
    if not path.exists():
        return None
    name = path.read_text(encoding="utf-8").strip()
    try:
        with FileLock(path).acquire(blocking=False):
            elsewhere = " on " in name and not name.endswith(f" on {socket.gethostname()}")
            return name if elsewhere else None
    except Timeout:
        return name


def is_complete(config: DictConfig, directory: Path) -> bool:
    """Whether a directory holds this run, all of it, ended and evaluated."""
    try:
        ended = records.status(directory).get("status") in ENDED
        evaluation = records.metrics(directory).get("evaluation", {})
        records.history(directory)
    except ConfigError:  # Damaged: what can be made again is made again.
        return False
    losses = [scores.get("loss_bits_per_sequence") for scores in evaluation.values()]
    if not ended or not losses or None in losses or not (directory / saved.CONFIG).is_file():
        return False
    if config.mode == "train" and fault(directory / MODEL):
        return False
    return not any(_differences(config, was, HOW) for was in _recorded(config, directory))


def _check_owner(config: DictConfig, directory: Path) -> None:
    free = (*HOW, *saved.FREE_IN_RESUMING) if config.mode == "train" else HOW
    for was in _recorded(config, directory):
        different = _differences(config, was, free)
        if different:
            raise ConfigError(_refusal(different, directory))
    if config.mode == "train":
        saved.check_steps(f"the run in {directory}", directory, config)


def _recorded(config: DictConfig, directory: Path) -> Iterator[DictConfig]:
    """The configurations that a directory says were run in it."""
    if (directory / saved.CONFIG).exists():
        yield saved.load(directory, config)
    found = checkpoint.latest(directory / CHECKPOINTS, quiet=True)
    if found is not None:
        made = checkpoint.config_of(found)
        if made:
            yield saved.typed(made, config, found)


def _differences(
    config: DictConfig, was: DictConfig, free: Sequence[str]
) -> dict[str, tuple[Any, Any]]:
    """Keys that are not free, with their value in `was` and now."""
    plain: list[Any] = [OmegaConf.to_container(each, resolve=True) for each in (was, config)]
    before, now = map(records.flat, plain)
    return {
        key: (before.get(key), now.get(key))
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key) and not saved.is_inside(key, free)
    }


def _refusal(different: Mapping[str, tuple[Any, Any]], directory: Path) -> str:
    """What differs, and the two ways out."""
    if "mode" in different:
        held, given = (NAMES.get(mode, "a run") for mode in different["mode"])
        return (
            f"{directory} holds {held}, and {given} has a directory of its own: leave "
            "hydra.run.dir out, or name another one."
        )
    chosen_first = sorted(different, key=lambda key: not key.endswith(CHOICE))
    listed = [
        f"{key.removesuffix(CHOICE)}={_short(different[key][0])}, not {_short(different[key][1])}"
        for key in chosen_first
    ]
    more = f" and {len(listed) - MOST_KEYS} more" if len(listed) > MOST_KEYS else ""
    return (
        f"{directory} holds another run, made with {'; '.join(listed[:MOST_KEYS])}{more}. State "
        "another directory (hydra.run.dir=..., or hydra.sweep.dir=... of a sweep), or delete this "
        "one to begin anew in it."
    )


def _short(value: Any) -> str:
    return "null" if value is None else str(value)


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory, or raise ConfigError. It dies with its process."""
    path = directory / LOCK
    try:
        lock = FileLock(path).acquire(blocking=False)
    except Timeout:
        raise ConfigError(
            f"{directory} is in use by a running process ({path.read_text().strip()}): wait until "
            "it has ended, or state another directory (hydra.run.dir=..., or hydra.sweep.dir=... "
            "of a sweep)."
        ) from None
    with lock:
        yield


def _clean(directory: Path) -> None:
    """Delete what a killed process has left half-written, and say that there was one."""
    killed = False
    for folder in (directory, *(path for path in directory.iterdir() if path.is_dir())):
        for path in unfinished(folder):
            path.unlink()
    with suppress(ConfigError):  # A damaged record is replaced by that of this run.
        killed = records.status(directory).get("status") == "running"
    if killed:
        log.warning("an earlier process in %s ended without a word; its work is kept", directory)
