"""The configuration of a saved run, with what the person states differently this time.

`mode=evaluate checkpoint=DIR` and `resume=DIR` take every value from `DIR/.hydra/config.yaml`,
and over it only what was stated on the command line, so that DIR alone is enough. What the saved
weights or an exact continuation rule out is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner import footprint, records
from runner.errors import ConfigError
from runner.explain import CONF
from runner.files import MODEL, damage, make, write_text
from runner.schema import GROUPS, Config, task_from

CONFIG = records.CONFIG
WHERE = ("mode", "device", "compilation_cache", "checkpoint", "resume")
FREE_IN_EVALUATION = ("seed", "evaluate", "task", "ntm.n_width", "trainer.verbose")
FREE_IN_RESUMING = (
    "evaluate",
    "trainer.steps",
    "trainer.stop_when_solved",
    "trainer.evaluate_every",
    "trainer.checkpoint_every",
    "trainer.log_every",
    "trainer.verbose",
)


def with_saved(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Return the configuration that `mode`, `checkpoint` and `resume` ask for.

    config: what Hydra composed; overrides: what the person stated, as in `hydra.overrides.task`.
    Raises ConfigError when they contradict each other, or a folder lacks what it needs.
    """
    checkpoint, resume = config.checkpoint, config.resume
    if config.mode == "evaluate":
        if checkpoint is None:
            raise ConfigError("mode=evaluate needs the run to evaluate: checkpoint=<run folder>.")
        if resume is not None:
            raise ConfigError(
                f"resume={resume} goes on with a training and mode=evaluate does not train: "
                "leave one of them out."
            )
        return evaluated_config(config, overrides, Path(checkpoint))
    if checkpoint is not None:
        raise ConfigError(
            f"checkpoint={checkpoint} is for mode=evaluate: add mode=evaluate, or write "
            f"resume={checkpoint} to go on training."
        )
    return config if resume is None else resumed_config(config, overrides, Path(resume))


def evaluated_config(config: DictConfig, overrides: Sequence[str], checkpoint: Path) -> DictConfig:
    """Return the configuration to evaluate the run in the folder `checkpoint` with."""
    check_folder("checkpoint", checkpoint, [CONFIG, MODEL])
    _check_model(checkpoint)
    saved = _load(checkpoint, config)
    stated = _over(saved, config, overrides, FREE_IN_EVALUATION, "when a saved run is evaluated")
    footprint.check(stated)
    if _same_encoding(saved, stated):
        return stated
    result = _ranges_as_case(saved, stated)
    if not _same_encoding(saved, result):
        _refuse_encoding(saved, result)
    return result


def resumed_config(config: DictConfig, overrides: Sequence[str], resume: Path) -> DictConfig:
    """Return the configuration to go on with the run in the folder `resume`."""
    check_folder("resume", resume, [CONFIG, "checkpoints"])
    saved = _load(resume, config)
    if saved.mode != "train":
        raise ConfigError(f"resume={resume} is the folder of an evaluation, not of a training.")
    return _over(saved, config, overrides, FREE_IN_RESUMING, "when a run goes on where it stopped")


def keep(config: DictConfig, folder: Path) -> None:
    """Write the configuration that runs where Hydra wrote the one it composed."""
    make((folder / CONFIG).parent)
    write_text(folder / CONFIG, OmegaConf.to_yaml(config, resolve=True))


def saved_names(folder: Path) -> dict[str, str]:
    """The option of each group that the run in `folder` was made with; empty if it has none."""
    try:
        saved = records.config(folder)
    except ConfigError:
        return {}
    nodes = {group: saved.get(group) for group in GROUPS}
    names = {g: str(node.get("name")) for g, node in nodes.items() if isinstance(node, dict)}
    known = all(names.get(group) in options for group, options in GROUPS.items())
    return names if known else {}


def check_folder(key: str, folder: Path, needed: Sequence[str]) -> None:
    """Refuse a folder that lacks one of the files `needed`; `key` is how it was asked for."""
    if not folder.is_dir():
        raise ConfigError(f"{key}={folder} is not a folder: state that of a run, with {needed[0]}.")
    for name in needed:
        path = folder / name
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            raise ConfigError(
                f"{key}={folder} has no {name}, which a run's folder holds: state the folder of a "
                f"run (such as outputs/copy/...) that got far enough to write it."
            )


def _check_model(checkpoint: Path) -> None:
    """Refuse a model that was cut short or changed, before TensorFlow is imported to load it."""
    reason = damage(checkpoint / MODEL)
    if reason is not None:
        raise ConfigError(
            f"checkpoint={checkpoint} has a damaged {MODEL} ({reason}): evaluate another run, or "
            f"let `python run.py resume={checkpoint}` write the model again, in a new folder, from "
            "the checkpoints that the run left."
        )


def _load(folder: Path, config: DictConfig) -> DictConfig:
    """Load a run's configuration.

    A key that it is too old to have comes from `config`, but of the machine and the training from
    the defaults without a recipe: the run was not made with what its recipe asks for today.
    """
    path, found = folder / CONFIG, records.config(folder)
    names = saved_names(folder)
    result = OmegaConf.structured(Config)
    try:
        for group, options in GROUPS.items():
            result[group] = OmegaConf.structured(options[names[group]])
            if names[group] == config[group].name:
                result[group].merge_with(config[group])
        same = {key: value for key, value in config.items() if key not in GROUPS}
        defaults: Any = OmegaConf.load(CONF / "config.yaml")
        of_no_recipe = {key: defaults[key] for key in ("ntm", "trainer")}
        result.merge_with(same, of_no_recipe, found)
    except (KeyError, OmegaConfBaseException) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"{path} does not describe a run of this version of the project ({reason})."
        ) from None
    return result


def _over(
    saved: DictConfig,
    config: DictConfig,
    overrides: Sequence[str],
    free: Sequence[str],
    when: str,
) -> DictConfig:
    """Put what was stated over a saved configuration, as far as it is free to differ."""
    result = saved.copy()
    for key in WHERE:
        result[key] = config[key]
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        if key in WHERE:
            continue
        if key == "experiment" and override.value() is not None:
            raise ConfigError(
                f"{override.input_line} cannot be used {when}: state the values that should "
                f"differ one by one. What may differ: {', '.join(free)}."
            )
        if key in GROUPS and isinstance(override.value(), str):
            given, was = config[key].name, saved[key].name
        else:
            given, was = OmegaConf.select(config, key), OmegaConf.select(saved, key)
            if any(f"{key}.".startswith(f"{prefix}.") for prefix in free):
                OmegaConf.update(result, key, given)
                continue
        if given != was:
            raise ConfigError(
                f"{override.input_line} cannot be used {when}: the run was made with {key}={was}. "
                f"What may differ: {', '.join(free)}."
            )
    return result


def _same_encoding(saved: DictConfig, result: DictConfig) -> bool:
    """Whether the same sequence is written in the same way with the task values of both."""
    before, after = task_from(saved), task_from(result)
    sizes = before.parse_case(before.solved_case())
    if min(sizes.values()) < after.smallest_size or before.input_dim != after.input_dim:
        return False
    old, new = (task.sample(np.random.default_rng(0), 2, **sizes) for task in (before, after))
    if old.inputs.shape != new.inputs.shape or old.targets.shape != new.targets.shape:
        return False
    return bool((old.inputs == new.inputs).all() and (old.targets == new.targets).all())


def _ranges_as_case(saved: DictConfig, stated: DictConfig) -> DictConfig:
    """Keep the training ranges, and evaluate the upper ends of those that were stated as a case.

    A sequence may be written on a scale that belongs to the training range, as the count of
    `repeat_copy` is: the weights know no other.
    """
    result, before, after = stated.copy(), task_from(saved), task_from(stated)
    for key in before.case_keys:
        for end in (f"min_{key}", f"max_{key}"):
            result.task[end] = saved.task[end]
    if result.evaluate.cases is None:
        cases = {*before.cases(), after.solved_case()}
        steps = {case: before.steps(**before.parse_case(case)) for case in cases}
        result.evaluate.cases = sorted(cases, key=lambda case: steps[case])
    return result


def _refuse_encoding(saved: DictConfig, result: DictConfig) -> None:
    changed = [
        f"task.{key}={value}" for key, value in result.task.items() if saved.task[key] != value
    ]
    raise ConfigError(
        f"{' '.join(changed)} changes how a sequence is written, so the saved weights could "
        "not read it. Choose other sizes with evaluate.cases instead."
    )
