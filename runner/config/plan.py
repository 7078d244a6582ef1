"""What a sweep is going to run: `jobs.json` in its directory, written before the first job.

From it a job knows what sets it apart from the others, and whoever looks at the directory later
knows what was not started and which command goes on.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from runner.config import varied
from runner.errors import ConfigError
from runner.store.files import as_override, read_json, unreadable, write_json

PLAN = "jobs.json"


class Job(NamedTuple):
    """A job before it starts: its directory in the sweep's, and the configuration that will run."""

    directory: str
    overrides: Sequence[str]
    config: DictConfig


@dataclass(frozen=True)
class Plan:
    """What a command was going to run.

    command: what goes on with it, from the directory `typed_in`.
    stated: the overrides of the command, which its jobs share or which sweep over values.
    columns: the keys in which the jobs differ.
    jobs: the values of each job in these, by its directory; none for a search, which decides on
        its way.
    """

    command: str = ""
    typed_in: str = ""
    stated: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)


def write(root: Path, stated: Sequence[str], jobs: Sequence[Job]) -> None:
    """Write the plan of a sweep into its directory."""
    found = [varied.values(_plain(job.config), job.overrides) for job in jobs]
    asked = dict.fromkeys(key for job in jobs for key in varied.stated(job.overrides))
    columns = varied.keys(found, asked)
    of_jobs = {
        job.directory: {key: values[key] for key in columns if key in values}
        for job, values in zip(jobs, found, strict=True)
    }
    plan = Plan(_command(root, stated), os.getcwd(), list(stated), columns, of_jobs)
    write_json(root / PLAN, asdict(plan))


def read(root: Path) -> Plan:
    """The plan of a sweep; an empty one if its directory has none. Raises ConfigError."""
    found = read_json(root / PLAN)
    try:
        return Plan(**found)
    except TypeError as error:
        raise ConfigError(unreadable(root / PLAN, f"is no plan of a sweep ({error})")) from None


def here() -> tuple[dict[str, Any], Plan] | None:
    """What sets the job that runs here apart from the others of its sweep; None outside of one.

    In a search, or without a readable plan, these are the overrides that the command did not have.
    """
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    config = HydraConfig.get()
    root = Path(config.runtime.cwd) / config.sweep.dir
    try:
        plan = read(root)
    except ConfigError:
        plan = Plan()
    known = plan.jobs.get(str(config.sweep.subdir))
    if known is None:
        overrides = [text for text in config.overrides.task if text not in plan.stated]
        known = typed(overrides)
    return known, plan


def typed(overrides: Sequence[str]) -> dict[str, Any]:
    """Overrides by key, each value of the type that Hydra gives it."""
    parsed = OverridesParser.create().parse_overrides([text for text in overrides if "=" in text])
    keys = varied.stated(overrides)
    return {key: each.value() for each in parsed if (key := str(each.key_or_group)) in keys}


def _command(root: Path, stated: Sequence[str]) -> str:
    """The command as it was typed, with the directory of the sweep."""
    words = [text for text in sys.orig_argv if not text.startswith("hydra.sweep.dir=")]
    if not any(Path(text).name == "run.py" for text in words):  # Called by other Python code.
        words = ["python", "run.py", "-m", *stated]
    return f"{shlex.join(words)} {as_override('hydra.sweep.dir', root)}"


def _plain(config: DictConfig) -> dict[str, Any]:
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]
