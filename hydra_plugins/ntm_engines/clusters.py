"""Launchers of submitit in which a job that ends badly is one job alone."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from omegaconf import OmegaConf, open_dict

from runner import sweep_job
from runner.errors import ConfigError, RunError
from runner.store import records
from runner.store.files import STATUS, make, write_json

try:
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher
except ImportError:  # runner/config/plugins.py says what installs it
    from hydra.plugins.launcher import Launcher as BaseSubmititLauncher

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 0.5  # between two looks at the results
QUEUE_SECONDS = 5.0  # between two looks at the queue
OPEN = ("running", "requeued", "not started")
GONE = "Invalid job id"  # what Slurm says of a job that it has forgotten


class _OneByOne(BaseSubmititLauncher):
    """Submits jobs, each of which ends by itself.

    submitit's own launcher ends with the first job that left no result.
    """

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))  # where jobs find runner/
        make(Path(str(self.config.hydra.sweep.dir)))
        numbered = list(enumerate(job_overrides, initial_job_idx))
        for number, overrides in numbered:
            log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        state = Singleton.get_state()
        calls = [
            (list(overrides), "hydra.sweep.dir", number, str(number), state)
            for number, overrides in numbered
        ]
        jobs = self._submitted(self._executor(), calls)
        return [
            self._returned(job, number, overrides)
            for job, (number, overrides) in zip(jobs, numbered, strict=True)
        ]

    def checkpoint(self, *arguments: Any, **named: Any) -> Any:
        """What submitit calls before it starts a job again: let the job save."""
        sweep_job.requeued()
        return super().checkpoint(*arguments, **named)

    def _executor(self) -> Any:
        import submitit

        kind, shared = self._EXECUTOR, set(OmegaConf.structured(BaseQueueConf))
        params = dict(self.params)
        folder, timeouts = params.pop("submitit_folder"), params.pop("max_num_timeout")
        if kind == "local":  # of which submitit's own choice takes no `signal_delay_s`
            local = submitit.LocalExecutor(folder, max_num_timeout=timeouts)
            local.update_parameters(**{k: v for k, v in params.items() if v is not None})
            return local
        first = {f"{kind}_max_num_timeout": timeouts}
        executor = submitit.AutoExecutor(folder, cluster=kind, **first)
        executor.update_parameters(
            **{
                key if key in shared else f"{kind}_{key}": value
                for key, value in params.items()
                if value is not None
            }
        )
        return executor

    def _submitted(self, executor: Any, calls: Sequence[Any]) -> list[Any]:
        """Submit all calls, and return their jobs when all of them have ended."""
        raise NotImplementedError

    def _returned(self, job: Any, number: int, overrides: Sequence[str]) -> JobReturn:
        """What a job has returned; a failure for one that ended without a word."""
        if job.paths.result_pickle.exists():
            outcome, value = job._get_outcome_and_result()
            if outcome == "success":
                return value
            reason = f"job {number} ended with {str(value).strip().rpartition(chr(10))[2]}"
        else:
            reason = f"job {number} left no result: it was cancelled, killed, or out of time"
        reason += f"; its output is in {job.paths.stdout.parent}"
        self._record(number, overrides, reason)
        result = JobReturn(overrides=list(overrides), status=JobStatus.FAILED)
        result.return_value = RunError(reason)
        return result

    def _record(self, number: int, overrides: Sequence[str], reason: str) -> None:
        """Let the directory of a job that can no more do so itself say how it has ended."""
        loader = self.hydra_context.config_loader
        config = loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        directory = Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
        with suppress(ConfigError, OSError):
            if records.status(directory).get("status", "not started") in OPEN:
                make(directory)
                write_json(directory / STATUS, {"status": "failed", "error": reason})


class Slurm(_OneByOne):
    """hydra/launcher=slurm: the jobs of a sweep are one array."""

    _EXECUTOR = "slurm"

    def _submitted(self, executor: Any, calls: Sequence[Any]) -> list[Any]:
        jobs: list[Any] = executor.map_array(self, *zip(*calls, strict=True))
        main = jobs[0].job_id.partition("_")[0]
        log.info("submitted as %s: `squeue -j %s` shows it, `scancel %s` ends it", main, main, main)
        waiting, looked = list(jobs), time.monotonic()
        missed: set[str] = set()
        while waiting:
            time.sleep(SECONDS)
            waiting = [job for job in waiting if not job.paths.result_pickle.exists()]
            if time.monotonic() - looked > QUEUE_SECONDS:
                looked, queued = time.monotonic(), set(_queued(main))
                if None in queued:
                    continue
                gone = {job.job_id for job in waiting if job.job_id not in queued}
                # Twice, since a result may come later than the end, through a shared disk.
                waiting = [job for job in waiting if job.job_id not in gone & missed]
                missed = gone
        return jobs


class SlurmLocal(_OneByOne):
    """hydra/launcher=slurm_local: each job a process of this machine, `n_jobs` at a time."""

    _EXECUTOR = "local"

    def __init__(self, n_jobs: int = 1, **params: Any) -> None:
        super().__init__(**params)
        self.n_jobs = n_jobs

    def _submitted(self, executor: Any, calls: Sequence[Any]) -> list[Any]:
        jobs: list[Any] = []
        try:
            for call in calls:
                while sum(not job.done() for job in jobs) >= self.n_jobs:
                    time.sleep(SECONDS)
                jobs.append(executor.submit(self, *call))
            while not all(job.done() for job in jobs):
                time.sleep(SECONDS)
        except BaseException:
            for job in jobs:
                if not job.done():
                    job.cancel(check=False)  # which lets it save
            raise
        return jobs


def _queued(main: str) -> Iterator[str | None]:
    """The jobs of an array that wait or run; None where Slurm does not say."""
    command = ["squeue", "--noheader", "--array", "--jobs", main, "--format", "%i"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and GONE not in done.stderr:
        yield None
    yield from done.stdout.split()
