"""Refuse a bad configuration before a folder is made or the first job of a sweep starts."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from runner import checks
from runner.errors import ConfigError, Refused

LOCAL_LAUNCHERS = ("BasicLauncher", "JoblibLauncher", "LocalLauncher")


class CheckFirst(Callback):
    """Checks the configuration of a run, or of every job of a sweep with Hydra's basic sweeper."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check one run, for which Hydra has not yet made a folder."""
        try:
            _check(config)
        except Exception as error:
            raise Refused from error

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check every job: else a mistake in the last one shows when the others are done."""
        try:
            for number, overrides in enumerate(jobs(config)):
                job = GlobalHydra.instance().config_loader().load_sweep_config(config, overrides)
                try:
                    _check(job)
                except ConfigError as error:
                    raise ConfigError(f"job {number} ({' '.join(overrides)}): {error}") from None
        except Exception as error:
            raise Refused from error


def jobs(config: DictConfig) -> Sequence[list[str]]:
    """The overrides of each job that Hydra's basic sweeper will start; none for another sweeper."""
    if config.hydra.sweeper._target_.rpartition(".")[2] != BasicSweeper.__name__:
        return []
    fixed = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    stated = parser.parse_overrides([*fixed, *config.hydra.overrides.task])
    return BasicSweeper.split_arguments(stated, max_batch_size=None)[0]


def _check(config: DictConfig) -> None:
    """Check what Hydra composed, which holds its own configuration beside ours."""
    for key, node in config.hydra.items():
        if isinstance(node, DictConfig):
            checks.refuse_unknown(node, f"hydra.{key}.", config)
    ours = copy.deepcopy(config)
    with open_dict(ours):
        del ours["hydra"]
    checks.settle(ours, config.hydra.overrides.task, here=_runs_here(config))


def _runs_here(config: DictConfig) -> bool:
    """Whether jobs run on this machine; a cluster's launcher sends them to others."""
    launcher = config.hydra.launcher._target_.rpartition(".")[2]
    return config.hydra.mode != RunMode.MULTIRUN or launcher in LOCAL_LAUNCHERS
