"""Which job of a sweep a process runs, in the words of a person: `job 3/60 controller=lstm seed=1`.

Jobs of other processes find in the environment whether the sweep draws a table of them all.
"""

from __future__ import annotations

import os
from typing import Any

from hydra.core.hydra_config import HydraConfig

from runner.config import plan, varied

TABLE = "NTM_SWEEP_TABLE"


def draw_table(drawn: bool) -> None:
    """Let the jobs of this process, or of those that it starts, know of a table of all jobs."""
    if drawn:
        os.environ[TABLE] = "1"
    else:
        os.environ.pop(TABLE, None)


def in_table() -> bool:
    """Whether a table of all jobs is drawn elsewhere."""
    return TABLE in os.environ


def label() -> str | None:
    """The job that this process runs, None outside of a sweep."""
    found = plan.here()
    if found is None:
        return None
    values, made = found
    hydra: Any = HydraConfig.get()
    count = f"/{len(made.jobs)}" if made.jobs else ""
    what = varied.label(values, made.columns or list(values))
    return f"job {hydra.job.num}{count} {what}".rstrip()
