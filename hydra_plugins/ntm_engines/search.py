"""Optuna's sweeper for searches that are interrupted and gone on with."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from omegaconf import DictConfig

from runner.errors import RunError

try:
    from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper
except ImportError:  # runner/config/explain.py says what installs it
    from hydra.plugins.sweeper import Sweeper as OptunaSweeper

log = logging.getLogger(__name__)


class Search(OptunaSweeper):
    """hydra/sweeper=optuna: `n_trials` counts those of earlier commands with the same storage.

    Args:
        prune: whether and when trials end early, read by `runner.reporting.trial` in the jobs.
        options: those of Hydra's own Optuna sweeper.
    """

    def __init__(self, prune: DictConfig, **options: Any) -> None:
        super().__init__(**options)

    def sweep(self, arguments: list[str]) -> None:
        logging.getLogger("alembic").setLevel(logging.WARNING)  # lists its plugins when imported
        from optuna.exceptions import ExperimentalWarning
        from optuna.trial import TrialState

        study = self._study()
        trials = study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state in (TrialState.RUNNING, TrialState.WAITING):
                # Its process is gone: the directory of this search is locked for one.
                study._storage.set_trial_state(trial._trial_id, TrialState.FAIL)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExperimentalWarning)
                    study.enqueue_trial(trial.params)
        done = sum(trial.state == TrialState.COMPLETE for trial in trials)
        self.sweeper.job_idx = len(trials)
        self.sweeper.n_trials = max(0, self.sweeper.n_trials - done)
        if trials:
            log.info("%d trials are done already, %d to go", done, self.sweeper.n_trials)
        try:
            super().sweep(arguments)
        except ValueError:
            if any(trial.state == TrialState.COMPLETE for trial in study.get_trials()):
                raise
            raise RunError("no trial of the search came to a result.") from None

    def _study(self) -> Any:
        import optuna

        optuna.logging.set_verbosity(logging.WARNING)
        sweeper = self.sweeper
        return optuna.create_study(
            study_name=sweeper.study_name,
            storage=sweeper.storage,
            sampler=sweeper.sampler,
            directions=sweeper._get_directions(),
            load_if_exists=True,
        )
