"""Checkpoints: everything that changes in training, in one file that is whole or not there."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runner.errors import ConfigError
from runner.files import damage, replace_with

log = logging.getLogger(__name__)

KEPT = 2
PROGRESS = "progress"


def save(directory: Path, step: int, variables: Sequence[Any], progress: dict[str, Any]) -> Path:
    """Write the checkpoint of a step and remove all but the last `KEPT`.

    Args:
        directory: the run's `checkpoints/`.
        step: updates made so far.
        variables: of the model, the optimizer and the training step, in a stable order.
        progress: what else is needed to go on, as JSON can hold it.
    """
    path = directory / f"step_{step:09d}.npz"
    arrays: dict[str, Any] = {f"{i:04d}": variable.numpy() for i, variable in enumerate(variables)}
    arrays[PROGRESS] = np.asarray(json.dumps(progress))
    with replace_with(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    for old in sorted(directory.glob("step_*.npz"))[:-KEPT]:
        old.unlink()
    return path


def latest(directory: Path) -> Path | None:
    """The newest checkpoint of a run's `checkpoints/` that is whole, None if there is none.

    Damaged ones are passed over with a warning. The training then does some steps again and ends
    as it would have: its batches and its noise depend on the number of the step alone.

    Raises ConfigError when all are damaged.
    """
    found = sorted(directory.glob("step_*.npz"), reverse=True)
    for path in found:
        reason = damage(path)
        if reason is None:
            return path
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


def restore(path: Path, variables: Sequence[Any]) -> dict[str, Any]:
    """Set the variables from a checkpoint and return its progress.

    Raises ConfigError when they are not the ones that were saved.
    """
    with np.load(path) as saved:
        arrays = [saved[name] for name in sorted(set(saved.files) - {PROGRESS})]
        progress: dict[str, Any] = json.loads(str(saved[PROGRESS]))
    shapes = [tuple(v.shape) for v in variables]
    if [a.shape for a in arrays] != shapes:
        raise ConfigError(
            f"{path} holds {len(arrays)} arrays that do not fit the {len(shapes)} of this model "
            "and optimizer: resume with the configuration that the run was started with"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return progress
