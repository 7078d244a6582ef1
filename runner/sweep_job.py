"""A job of a sweep, in a process beside its launcher's, whichever launcher that is."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log, env_override, setup_globals
from omegaconf import DictConfig

from runner import one_run
from runner.config import machine
from runner.errors import ConfigError, RunError
from runner.store import records
from runner.store.files import STATUS, write_json
from runner.training import worker

log = logging.getLogger(__name__)

_worker = worker.Worker()  # of this process, which runs one job at a time


def run(config: DictConfig) -> float:
    """Run a job beside this process, and return its objective.

    Raises what the job raised. A job whose process dies is recorded as failed.
    """
    hydra_config = HydraConfig.instance().cfg
    try:
        return float(_worker.call(_beside, config, hydra_config, os.getcwd()))
    except worker.Died as died:
        directory = Path(HydraConfig.get().runtime.output_dir)
        reason = f"{died}.{machine.go_on(directory)}"
        log.error("failed: %s", reason)
        with suppress(OSError):
            write_json(directory / STATUS, {"status": "failed", "error": f"RunError: {reason}"})
        raise RunError(reason) from None


def requeued() -> None:
    """Let the job that runs here save and end: a cluster starts it again where it stopped."""
    directory = Path(HydraConfig.get().runtime.output_dir)
    _worker.stop()
    with suppress(ConfigError, OSError):
        if records.status(directory).get("status") == "interrupted":
            write_json(directory / STATUS, {"status": "requeued", "error": None})


def _beside(config: DictConfig, hydra_config: DictConfig, place: str) -> float:
    """The job itself, in what the launcher has set up for it."""
    os.chdir(place)
    setup_globals()
    HydraConfig.instance().set_config(hydra_config)
    hydra = hydra_config.hydra
    configure_log(hydra.job_logging, hydra.verbose)
    with env_override(hydra.job.env_set):
        return one_run.run(config)
