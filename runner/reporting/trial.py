"""A job of an Optuna search tells its study how it goes, and ends early if it is behind.

Hydra's sweeper does not hand the trial to its job. The job finds it in the study's storage, where
it is the running one with this job's values.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from runner.errors import PrunedError
from runner.training.watcher import Watcher

log = logging.getLogger(__name__)

SQLITE = "sqlite:///"


class Pruning:
    """A `Watcher` that passes on what it is told, and ends a training that is behind."""

    def __init__(self, watcher: Watcher, trial: Any, case: str) -> None:
        self._watcher = watcher
        self._trial = trial
        self._case = case

    def trained(self, step: int, point: dict[str, float]) -> None:
        self._watcher.trained(step, point)

    def evaluated(self, step: int, results: dict[str, dict[str, float]]) -> None:
        """Raises PrunedError where the deciding case's loss is above the others' median."""
        self._watcher.evaluated(step, results)
        loss = float(results[self._case]["loss_bits_per_sequence"])
        self._trial.report(loss, step)
        if self._trial.should_prune():
            raise PrunedError(loss, step)

    def began_again(self, steps: int) -> None:
        self._watcher.began_again(steps)

    def flush(self) -> None:
        self._watcher.flush()


def watched(watcher: Watcher, case: str) -> Watcher:
    """The watcher of this job's training, with pruning if its search prunes."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return watcher
    hydra: Any = HydraConfig.get()
    prune = hydra.sweeper.get("prune")
    if not prune or prune.after_trials is None or not hydra.sweeper.storage:
        return watcher
    trial = _trial(hydra, prune)
    if trial is None:
        log.warning("the study does not know this trial: it is not ended if it is behind")
        return watcher
    return Pruning(watcher, trial, case)


def _trial(hydra: Any, prune: Any) -> Any:
    """The running trial of the study that has the values of this job."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # lists its plugins when imported
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.load_study(
        study_name=hydra.sweeper.study_name,
        storage=_absolute(str(hydra.sweeper.storage), Path(hydra.runtime.cwd)),
        pruner=optuna.pruners.MedianPruner(prune.after_trials, prune.after_steps),
    )
    stated = dict(each.lstrip("+~").split("=", 1) for each in hydra.overrides.task if "=" in each)
    for trial in reversed(study.get_trials(states=(optuna.trial.TrialState.RUNNING,))):
        if _same(trial.params, stated):
            return optuna.trial.Trial(study, trial._trial_id)
    return None


def _same(params: Mapping[str, Any], stated: Mapping[str, str]) -> bool:
    return all(stated.get(key) == str(value) for key, value in params.items())


def _absolute(storage: str, place: Path) -> str:
    """The storage as the sweep sees it, whose directory a job may have left."""
    path = storage.removeprefix(SQLITE)
    return storage if path == storage else f"{SQLITE}{place / path}"
