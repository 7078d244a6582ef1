"""Refuse a bad configuration before a folder is made or the first job of a sweep starts."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from runner.config import checks, ownership, plan, plugins, startup, sweep_end
from runner.config.explain import explain
from runner.errors import ConfigError, Refused
from runner.training import compiled

LOCAL_LAUNCHERS = ("BasicLauncher", "LocalLauncher", "Pool", "SlurmLocal")


class CheckFirst(Callback):
    """Checks a run, or every job of a sweep with Hydra's basic sweeper, before anything is made.

    The directory of a sweep is held for it until it ends.
    """

    def __init__(self) -> None:
        self._held = ExitStack()

    def __reduce__(self) -> Any:
        """For launchers that send their jobs to other processes: these hold nothing."""
        return type(self), ()

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check one run, for which Hydra has not yet made a folder."""
        try:
            _check_places(config, "run.dir")
            job = _checked(config)
            ownership.check(job, Path(config.hydra.run.dir))
            _check_device([job], config)
        except Exception as error:
            raise Refused from error

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check every job: else a mistake in the last one shows when the others are done."""
        try:
            plugins.check(config)
            _check_places(config, "sweep.dir", "sweep.subdir")
            root = Path(config.hydra.sweep.dir)  # once, since it may hold the time of day
            ownership.check_sweep(root)
            found: list[plan.Job] = []
            directories: dict[str, int] = {}
            all_overrides = jobs(config)
            for number, overrides in enumerate(all_overrides):
                try:
                    job = _job(config, root, number, overrides)
                    other = directories.setdefault(job.directory, number)
                    if other != number:
                        raise ConfigError(
                            f"its directory is that of job {other}, {root / job.directory}: name "
                            "one for each job with hydra.sweep.subdir, such as ${hydra.job.num}."
                        )
                    found.append(job)
                except ConfigError as error:
                    raise ConfigError(f"job {number} ({' '.join(overrides)}): {error}") from None
                except ConfigCompositionException as error:
                    text = _not_in_all(str(explain(error)), all_overrides)
                    if not text:
                        raise
                    raise ConfigError(f"job {number} ({' '.join(overrides)}): {text}") from None
            _check_device([job.config for job in found], config)
            self._held.enter_context(ownership.held(root))
            plan.write(root, list(config.hydra.overrides.task), found)
            sweep_end.begin(sweep_end.Sweep(root, _runs_here(config)))
        except Exception as error:
            raise Refused from error

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Let go of the directory."""
        self._held.close()


def jobs(config: DictConfig) -> Sequence[list[str]]:
    """The overrides of each job that Hydra's basic sweeper will start; none for another sweeper."""
    if config.hydra.sweeper._target_.rpartition(".")[2] != BasicSweeper.__name__:
        return []
    fixed = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    stated = parser.parse_overrides([*fixed, *config.hydra.overrides.task])
    return BasicSweeper.split_arguments(stated, max_batch_size=None)[0]


def _not_in_all(text: str, all_overrides: Sequence[Sequence[str]]) -> str:
    """What to say of an unknown key of an option where the sweep is over several; else nothing."""
    missing = re.match("there is no key '([^.']+)[.]", text)
    if missing is None:
        return ""
    stated = [override.partition("=") for overrides in all_overrides for override in overrides]
    options = dict.fromkeys(value for group, _, value in stated if group == missing[1])
    if len(options) < 2:
        return ""
    return (
        f"{text} Only some jobs of this sweep over {missing[1]}={','.join(options)} have it: "
        "make a sweep of its own for those."
    )


def _job(config: DictConfig, root: Path, number: int, overrides: Sequence[str]) -> plan.Job:
    """A job of the sweep in `root`, checked."""
    job = GlobalHydra.instance().config_loader().load_sweep_config(config, list(overrides))
    with open_dict(job):
        job.hydra.job.id = job.hydra.job.num = number  # as the launcher will set them
    checked = _checked(job)
    directory = str(job.hydra.sweep.subdir)
    ownership.check(checked, root / directory)
    return plan.Job(directory, overrides, checked)


def _checked(config: DictConfig) -> DictConfig:
    """What runs, of what Hydra composed, which holds its own configuration beside ours."""
    for key, node in config.hydra.items():
        if isinstance(node, DictConfig):
            checks.refuse_unknown(node, f"hydra.{key}.", config)
    ours = copy.deepcopy(config)
    with open_dict(ours):
        del ours["hydra"]
    return checks.resolve(ours, config.hydra.overrides.task, here=_runs_here(config))[0]


def _runs_here(config: DictConfig) -> bool:
    """Whether jobs run on this machine; a cluster's launcher sends them to others."""
    launcher = config.hydra.launcher._target_.rpartition(".")[2]
    return config.hydra.mode != RunMode.MULTIRUN or launcher in LOCAL_LAUNCHERS


def _check_places(config: DictConfig, *keys: str) -> None:
    """Refuse places in which a run would be strewn about, or that are not its own."""
    for key in keys:
        group, _, name = key.partition(".")
        stated: Any = OmegaConf.to_container(config.hydra[group])  # jobs have what is missing
        value = stated[name]
        if value is None or not str(value).strip():
            raise ConfigError(
                f"hydra.{key}={'null' if value is None else ''} names no directory: state one, or "
                f"leave hydra.{key} out."
            )
    name = str(config.hydra.job.name)
    if name in ("", ".", "..") or PurePath(name).name != name:
        raise ConfigError(
            f"hydra.job.name={name} is no name of a file: the log is hydra.job.name with .log, in "
            "the run's directory. State a name without '/'."
        )
    if config.hydra.output_subdir is not None:
        raise ConfigError(
            f"hydra.output_subdir={config.hydra.output_subdir}: a run's configuration is always "
            "written to .hydra in its directory. Leave hydra.output_subdir out."
        )


def _check_device(found: Sequence[DictConfig], config: DictConfig) -> None:
    """Refuse a GPU that this machine does not have, before the first job."""
    asked = [job for job in found if job.device == "gpu"]
    if not asked or not _runs_here(config):
        return
    compiled.keep(asked[0].compilation_cache)
    startup.figures_to_files()
    with startup.native_notices(), startup.no_collection():
        from runner.training import device
    device.choose("gpu")
