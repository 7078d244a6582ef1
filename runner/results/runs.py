"""The runs below a directory, whatever their folders are called, and what each has left."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from runner.config import names, ownership, plan, varied
from runner.errors import ConfigError
from runner.store import records
from runner.store.files import METRICS, STATUS

OF_A_RUN = (records.CONFIG, STATUS, METRICS)
NOT_STARTED, STALE, UNREADABLE = "not started", "stale", "unreadable"
ENDED = ownership.ENDED
PRUNED = "pruned"  # a trial that its search has ended, with what it had reached as its result


@dataclass(frozen=True)
class Run:
    """What one run left, as far as it got.

    name: its folder below the directory that was asked for.
    status: as in `status.json`; `stale` if that says running, and no process does; `not started`
        if there is none.
    metrics: one entry a number, those of a case under its name: `length=20 bit_accuracy`.
    config: its configuration, with the keys of today.
    values: the configuration by dotted keys, see `runner.config.varied.values`; those that its
        sweep planned it with, if it has not got so far as to write it.
    asked: the keys that were stated for it.
    planned: those in which its sweep planned the jobs to differ.
    """

    folder: Path
    name: str
    status: str = NOT_STARTED
    error: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, by what is in it."""
    return any((folder / name).exists() for name in OF_A_RUN)


def read(root: Path, *, forgiving: bool = False) -> list[Run]:
    """The runs below a directory, and the jobs that its sweep planned and has not started.

    In the order of the jobs, then of their names. forgiving: a run with a damaged file is
    `unreadable`, instead of a ConfigError.
    """
    planned = _plan(root, forgiving).jobs
    found = {folder.relative_to(root).as_posix(): folder for folder in _folders(root)}
    found |= {name: root / name for name in planned if name not in found}
    place = {name: number for number, name in enumerate(planned)}
    ordered = sorted(found, key=lambda name: (place.get(name, len(place)), _natural(name)))
    return [_read(found[name], name, planned.get(name, {}), forgiving) for name in ordered]


def columns(runs: Sequence[Run]) -> list[str]:
    """The keys that tell the runs from each other, the seed last; see `runner.config.varied`."""
    asked = dict.fromkeys(key for run in runs for key in run.asked)
    found = varied.keys([run.values for run in runs if run.config], asked)
    planned = dict.fromkeys(key for run in runs for key in run.planned)
    return sorted(dict.fromkeys([*planned, *found]), key=lambda key: key == varied.SEED)


def read_run(folder: Path, name: str = "", planned: Mapping[str, Any] | None = None) -> Run:
    """What one run left. Raises ConfigError for a file of it that is of no use."""
    state = records.status(folder)
    status = str(state.get("status", NOT_STARTED))
    if status == "running" and ownership.holder(folder) is None:
        status = STALE
    overrides = [names.override_today(text) for text in records.overrides(folder)]
    config = _config(folder)
    return Run(
        folder,
        name or folder.name,
        status,
        str(state.get("error") or ""),
        _flat(records.metrics(folder)),
        config,
        varied.values(config, overrides) if config else planned or {},
        tuple(varied.stated(overrides)),
        tuple(planned or ()),
    )


def _plan(root: Path, forgiving: bool) -> plan.Plan:
    try:
        return plan.read(root)
    except ConfigError:
        if not forgiving:
            raise
        return plan.Plan()


def _folders(root: Path) -> Iterator[Path]:
    """The outermost folders of runs below a directory."""
    for place, inside, _ in os.walk(root):
        folder = Path(place)
        if folder != root and is_run(folder):
            inside.clear()
            yield folder
        inside[:] = [name for name in inside if not name.startswith(".")]


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts `9` before `10`."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _read(folder: Path, name: str, planned: Mapping[str, Any], forgiving: bool) -> Run:
    try:
        return read_run(folder, name, planned)
    except ConfigError as error:
        if not forgiving:
            raise
        return Run(folder, name, UNREADABLE, str(error), values=planned, planned=tuple(planned))


def _config(folder: Path) -> dict[str, Any]:
    path = folder / records.CONFIG
    return _parsed(folder, path.stat().st_mtime_ns) if path.exists() else {}


@lru_cache(maxsize=4096)  # A sweep reads those of all its runs whenever one of them ends.
def _parsed(folder: Path, _written: int) -> dict[str, Any]:
    found: dict[str, Any] = names.today(records.raw_config(folder))
    return found


def _flat(metrics: Mapping[str, Any]) -> dict[str, Any]:
    flat = {key: value for key, value in metrics.items() if not isinstance(value, Mapping)}
    for case, scores in metrics.get("evaluation", {}).items():
        flat |= {f"{case} {name}": value for name, value in scores.items()}
    return flat
