"""Optuna's sweeper for searches that are interrupted and gone on with."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from runner.errors import ConfigError, RunError

try:
    from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper
except ImportError:  # runner/config/explain.py says what installs it
    from hydra.plugins.sweeper import Sweeper as OptunaSweeper

log = logging.getLogger(__name__)
# Lists its plugins when it is imported, by the sampler that Hydra makes before the sweeper.
logging.getLogger("alembic").setLevel(logging.WARNING)


class Search(OptunaSweeper):
    """hydra/sweeper=optuna: `n_trials` counts those of earlier commands with the same storage.

    Args:
        prune: whether and when trials end early, read by `runner.reporting.trial` in the jobs.
        options: those of Hydra's own Optuna sweeper.
    """

    def __init__(self, prune: DictConfig, **options: Any) -> None:
        super().__init__(**options)

    def sweep(self, arguments: list[str]) -> None:
        from optuna.exceptions import ExperimentalWarning
        from optuna.trial import TrialState

        if self.sweeper.n_trials < 1:
            raise ConfigError(
                f"hydra.sweeper.n_trials={self.sweeper.n_trials} must be at least 1: it is the "
                "number of runs of the search."
            )
        self._leave_out_what_is_given(arguments)
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
        except ValueError as error:
            if "GridSampler" in str(error):
                raise ConfigError(self._without_intervals(arguments)) from None
            states = {trial.state for trial in study.get_trials(deepcopy=False)}
            if not states or TrialState.COMPLETE in states:
                raise
            raise RunError("no trial of the search came to a result.") from None

    def _leave_out_what_is_given(self, arguments: list[str]) -> None:
        """A value of the command line stands for the range that the preset has for its key.

        Hydra's sweeper drops the range itself, but not before a grid was laid over it.
        """
        parsed = OverridesParser.create().parse_overrides(arguments)
        given = {override.get_key_element() for override in parsed}
        params = self.sweeper.params or {}
        self.sweeper.params = OmegaConf.create({k: v for k, v in params.items() if k not in given})

    def _without_intervals(self, arguments: list[str]) -> str:
        ranges = [*(f"{key}={value}" for key, value in self.sweeper.params.items()), *arguments]
        named = ", ".join(each for each in ranges if "interval(" in each)
        return (
            f"hydra/sweeper/sampler=grid tries every value of a list, and {named} is no list. "
            "Give values, as in optimizer.learning_rate=1e-3,3e-3, "
            "or take hydra/sweeper/sampler=tpe."
        )

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
