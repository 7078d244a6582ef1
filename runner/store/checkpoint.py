"""Checkpoints: everything that changes in training, in one file that is whole or not there."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runner.errors import ConfigError
from runner.store.files import damage, replace_with

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
KEPT = 2
PROGRESS, CONFIG = "progress", "config"


def save(
    directory: Path,
    step: int,
    variables: Sequence[Any],
    progress: Mapping[str, Any],
    config: Mapping[str, Any],
) -> Path | None:
    """Write the checkpoint of a step and remove all but the last `KEPT`.

    Nothing is written, and None returned, when a variable is not finite: the last checkpoint is
    then the last sound one.

    Args:
        directory: the run's `checkpoints/`.
        step: updates made so far.
        variables: of the model, the optimizer and the training step, in a stable order.
        progress: what else is needed to go on, as JSON can hold it.
        config: the configuration that runs, plain.
    """
    arrays: dict[str, Any] = {f"{i:04d}": variable.numpy() for i, variable in enumerate(variables)}
    if not all(map(_is_finite, arrays.values())):
        return None
    arrays[PROGRESS] = np.asarray(json.dumps(progress))
    arrays[CONFIG] = np.asarray(json.dumps(config))
    path = directory / f"step_{step:09d}.npz"
    with replace_with(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    for old in _newest_first(directory)[KEPT:]:
        old.unlink()
    return path


def latest(directory: Path, quiet: bool = False) -> Path | None:
    """The newest sound checkpoint of a run's `checkpoints/`, None if it has none at all.

    Damaged ones, and ones with numbers that are not finite, are passed over with a warning unless
    `quiet`. The training then does some steps again and ends as it would have: its batches and its
    noise depend on the number of the step alone.

    Raises ConfigError when no checkpoint is sound.
    """
    found = _newest_first(directory)
    for path in found:
        reason = _fault(path)
        if reason is None:
            return path
        if not quiet:
            log.warning("%s is damaged (%s) and passed over", path, reason)
    if found:
        raise ConfigError(
            f"every checkpoint in {directory} is damaged ({found[0].name}: {reason}), so nothing "
            "is left to go on from. State another run (resume=<run folder>), or begin anew: "
            "without resume=, in another folder (hydra.run.dir=...) or after deleting this one."
        )
    return None


def step_of(path: Path) -> int:
    """The step of a checkpoint."""
    return int(path.stem.partition("_")[2])


def progress_of(path: Path) -> dict[str, Any]:
    """The progress that a checkpoint holds."""
    return _json(path, PROGRESS)


def config_of(path: Path) -> dict[str, Any]:
    """The configuration that made a checkpoint; empty if it is too old to hold one."""
    return _json(path, CONFIG)


def restore(path: Path, variables: Sequence[Any]) -> dict[str, Any]:
    """Set the variables from a checkpoint and return its progress.

    Raises ConfigError when they are not the ones that were saved.
    """
    with np.load(path) as saved:
        arrays = [saved[name] for name in _numbered(saved.files)]
    shapes = [tuple(v.shape) for v in variables]
    if [a.shape for a in arrays] != shapes:
        raise ConfigError(
            f"{path} holds {len(arrays)} arrays whose shapes do not fit the {len(shapes)} of this "
            "model and optimizer: resume with the configuration that the run was started with"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return progress_of(path)


def _newest_first(directory: Path) -> list[Path]:
    found = (path for path in directory.glob("step_*.npz") if path.stem[5:].isdigit())
    return sorted(found, reverse=True)


def _fault(path: Path) -> str | None:
    """Why nothing can go on from a checkpoint, None if it is sound."""
    reason = damage(path)
    if reason is not None:
        return reason
    try:
        with np.load(path) as saved:
            finite = all(_is_finite(saved[name]) for name in _numbered(saved.files))
        progress = progress_of(path)
        if progress.get("step") != step_of(path) or not _is_whole(progress.get("began", 0)):
            return "it does not say how far the training was"
        config_of(path)
    except (OSError, ValueError, KeyError) as error:
        return str(error).partition("\n")[0]
    return None if finite else "it holds numbers that are not finite"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _json(path: Path, name: str) -> dict[str, Any]:
    with np.load(path) as saved:
        value = json.loads(str(saved[name])) if name in saved.files else {}
    if not isinstance(value, dict):
        raise ValueError(f"its {name} is no JSON object")
    return value


def _numbered(names: Sequence[str]) -> list[str]:
    return sorted(set(names) - {PROGRESS, CONFIG})


def _is_finite(array: Any) -> bool:
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())
