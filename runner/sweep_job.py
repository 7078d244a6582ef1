"""A job of a sweep, in a process beside its launcher's, whichever launcher that is."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import cast

from hydra._internal.callbacks import Callbacks
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, configure_log, env_override, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig

from runner import one_run
from runner.config import jobs, machine
from runner.errors import ConfigError, RunError
from runner.reporting import job_lines
from runner.store import records
from runner.store.files import STATUS, make, write_json
from runner.training import interrupts
from runner.training.worker import Worker, WorkerError

log = logging.getLogger(__name__)

_worker = Worker()  # of a launcher that runs one job at a time in this process


def run(config: DictConfig) -> float:
    """Run the job that a launcher has set up in this process beside it, and return its objective.

    Raises what the job raised. A job whose process dies is recorded as failed.
    """
    hydra_config = HydraConfig.instance().cfg
    try:
        return float(_worker.call(_beside, config, hydra_config, os.getcwd(), jobs.in_table()))
    except WorkerError as error:
        raise died(Path(HydraConfig.get().runtime.output_dir), error) from None


def launched(worker: Worker, config: DictConfig) -> JobReturn:
    """Set a job up in the process of `worker` and run it there.

    config: what Hydra composed for it, its own configuration included. Raises WorkerError.
    """
    result: JobReturn = worker.call(_launched, config, os.getcwd(), jobs.in_table())
    return result


def died(directory: Path, error: WorkerError) -> RunError:
    """Record that the process of a job is gone; returns the error of the job."""
    reason = f"{error}.{machine.go_on(directory)}"
    log.error("%s failed: %s", directory, reason)
    with suppress(OSError):
        make(directory)
        write_json(directory / STATUS, {"status": "failed", "error": f"RunError: {reason}"})
    return RunError(reason)


def requeued() -> None:
    """Let the job that runs here save and end: a cluster starts it again where it stopped."""
    directory = Path(HydraConfig.get().runtime.output_dir)
    interrupts.ignored()
    _worker.stop()
    with suppress(ConfigError, OSError):
        if records.status(directory).get("status") == "interrupted":
            write_json(directory / STATUS, {"status": "requeued", "error": None})


def _beside(config: DictConfig, hydra_config: DictConfig, place: str, table: bool) -> float:
    """The job itself, in what the launcher has set up for it."""
    _begin(place, table)
    HydraConfig.instance().set_config(hydra_config)
    hydra = hydra_config.hydra
    with env_override(hydra.job.env_set), job_lines.labelled():
        configure_log(hydra.job_logging, hydra.verbose)
        job_lines.settle()
        return one_run.run(config)


def _launched(config: DictConfig, place: str, table: bool) -> JobReturn:
    """The job and what Hydra sets up for it, which composes no more configurations."""
    _begin(place, table)
    HydraConfig.instance().set_config(config)

    def task(settled: DictConfig) -> float:
        job_lines.settle()
        return one_run.run(settled)

    with job_lines.labelled():
        result: JobReturn = run_job(
            hydra_context=HydraContext(cast(ConfigLoader, None), Callbacks(config)),
            task_function=task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    if isinstance(error := result._return_value, Exception):
        if not isinstance(error, ConfigError | RunError):
            result.return_value = RunError(f"{type(error).__name__}: {error}")
        error.__traceback__ = None
    return result


def _begin(place: str, table: bool) -> None:
    os.chdir(place)
    setup_globals()
    jobs.draw_table(table)
