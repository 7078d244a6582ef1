"""How many cores a job may use, when several jobs of a sweep run at the same time."""

from __future__ import annotations

import os

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode


def share() -> int:
    """Return this job's part of the cores that the process may run on, at least one.

    A launcher with `n_jobs`, such as hydra/launcher=joblib, runs that many jobs at once; as with
    joblib, -1 means one a core.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    at_once = _jobs_at_once()
    return max(1, cores // at_once) if at_once > 0 else 1


def _jobs_at_once() -> int:
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return 1
    return int(HydraConfig.get().launcher.get("n_jobs") or 1)
