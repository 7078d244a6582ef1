"""Jobs of a sweep at once on this machine, each in a process that is asked to save when it ends.

joblib, whose place this takes, ends a sweep when one of its workers is killed, and kills them all,
with what they started, when the sweep is interrupted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue

from hydra.core.utils import (
    JobReturn,
    JobStatus,
    configure_log,
    filter_overrides,
    setup_globals,
)
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from runner import sweep_job
from runner.errors import RunError
from runner.store.files import make
from runner.training import cores
from runner.training.worker import Worker, WorkerError

log = logging.getLogger(__name__)

SECONDS = 0.2  # between two interrupts, and between two looks at the jobs


class Pool(Launcher):
    """hydra/launcher=joblib: `n_jobs` jobs at a time; -1: one a core."""

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs if n_jobs > 0 else cores.available()
        self.config: DictConfig = DictConfig({})
        self.hydra_context: HydraContext | None = None
        self._stopped = threading.Event()

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        del task_function  # a job's process calls what it calls
        self.config, self.hydra_context = config, hydra_context

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        make(Path(str(self.config.hydra.sweep.dir)))
        log.info("Launching %d jobs, %d at a time", len(job_overrides), self.n_jobs)
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        configs = [
            self._composed(number, overrides)
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        workers = [Worker(own) for own in cores.parts(min(self.n_jobs, len(configs)))]
        idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in workers:
            idle.put(worker)
        with ThreadPoolExecutor(len(workers)) as threads:
            jobs = [threads.submit(self._run, config, idle) for config in configs]
            try:
                while wait(jobs, timeout=SECONDS).not_done:
                    pass  # A signal that another thread took does not end a wait.
            except BaseException:
                self._stop(jobs, workers)
                raise
            finally:
                for worker in workers:
                    worker.stop()
        return [job.result() for job in jobs]

    def _stop(self, jobs: Sequence[Future[JobReturn]], workers: Sequence[Worker]) -> None:
        """Start nothing any more, and let what runs save."""
        self._stopped.set()
        for job in jobs:
            job.cancel()
        while wait(jobs, timeout=SECONDS).not_done:
            for worker in workers:  # Again, since a job may have begun just now.
                worker.interrupt()

    def _composed(self, number: int, overrides: Sequence[str]) -> DictConfig:
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        config = loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config

    def _run(self, config: DictConfig, idle: SimpleQueue[Worker]) -> JobReturn:
        """Run a job in the next process that is idle."""
        worker = idle.get()
        try:
            if self._stopped.is_set():
                raise KeyboardInterrupt
            return sweep_job.launched(worker, config)
        except WorkerError as error:
            return _failed(config, sweep_job.died(_directory(config), error))
        finally:
            idle.put(worker)


def _directory(config: DictConfig) -> Path:
    return Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)


def _failed(config: DictConfig, error: RunError) -> JobReturn:
    failed = JobReturn(overrides=list(config.hydra.overrides.task), status=JobStatus.FAILED)
    failed.return_value = error
    return failed
