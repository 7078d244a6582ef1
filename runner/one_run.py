"""One run of run.py, from what Hydra composed to its objective."""

from __future__ import annotations

import logging
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from runner.config import checks, ownership, recipe, startup
from runner.training import compiled

log = logging.getLogger(__name__)


def run(config: DictConfig) -> float:
    """Check what Hydra composed, claim the directory, and run: returns the objective.

    Raises ConfigError, with nothing written, for what cannot be done.
    """
    hydra_config = HydraConfig.get()
    config, warnings = checks.resolve(config, hydra_config.overrides.task)
    directory = Path(hydra_config.runtime.output_dir)
    with ownership.claimed(config, directory):
        if ownership.is_complete(config, directory):
            from runner.reporting import outcome

            return outcome.of_complete(config, directory)
        if config.mode == "train" and config.resume is None:
            choices = hydra_config.runtime.choices
            log.info(recipe.in_words(config, hydra_config.overrides.task, choices))
        for warning in warnings:
            log.warning(warning)
        compiled.keep(config.compilation_cache)
        startup.figures_to_files()
        with startup.native_notices(), startup.no_collection():
            from runner import job  # TensorFlow, only once the configuration is known to be good

        return job.run(config, directory)
