"""The configuration of a saved run, with what the person states differently this time.

`checkpoint=DIR` with `mode=evaluate` or `mode=show`, `resume=DIR` and `init_from=DIR` take every
value from `DIR/.hydra/config.yaml`, and over it only what was stated on the command line, so that
DIR alone is enough. What the saved weights or an exact continuation rule out is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config import footprint, names, targets
from runner.config.schema import GROUPS, OPTIONS, Config, task_from
from runner.config.targets import CONF
from runner.errors import ConfigError
from runner.store import checkpoint as checkpoints
from runner.store import records
from runner.store.checkpoint import CHECKPOINTS
from runner.store.files import MODEL, as_override, make, write_text
from runner.store.model_file import fault

CONFIG, OVERRIDES, HYDRA = records.CONFIG, records.OVERRIDES, ".hydra/hydra.yaml"
WHERE = ("mode", "device", "compilation_cache", "checkpoint", "resume")
RUNS = ("checkpoint", "resume", "init_from")  # keys that name the folder of a run
NO_TRAINING = {"evaluate": "an evaluation", "show": "a page"}  # modes, and what they leave
FREE_IN_EVALUATION = ("seed", "evaluate", "task", "ntm.n_width", "trainer.verbose", "figures")
FREE_IN_SHOWING = ("ntm.n_width",)
FREE_IN_RESUMING = (
    "evaluate",
    "trainer.steps",
    "trainer.stop_when_solved",
    "trainer.evaluate_every",
    "trainer.checkpoint_every",
    "trainer.log_every",
    "trainer.verbose",
    "trainer.histograms",
    "trainer.profile",
    "figures",
)
# What weights belong to, beside the widths of the task's inputs and outputs.
OF_WEIGHTS = (
    *("model", "controller", "ntm.m_depth", "ntm.shift_range", "ntm.read_heads"),
    *("ntm.write_heads", "ntm.read_to_output", "ntm.readout_units"),
)


def with_saved(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Return the configuration that `mode`, `checkpoint`, `resume` and `init_from` ask for.

    config: what Hydra composed; overrides: what the person stated, as in `hydra.overrides.task`.
    Raises ConfigError when they contradict each other, or a folder lacks what it needs.
    """
    _check_alone(config)
    config = _absolute(config)
    if config.mode == "show":
        return shown_config(config, overrides, Path(config.checkpoint))
    if config.mode == "evaluate":
        return evaluated_config(config, overrides, Path(config.checkpoint))
    if config.resume is not None:
        return resumed_config(config, overrides, Path(config.resume))
    if config.init_from is not None:
        return warm_started_config(config, overrides, Path(config.init_from))
    return config


def _absolute(config: DictConfig) -> DictConfig:
    """The configuration with the folders of runs as absolute paths.

    Those stated are of the directory in which the command was typed, wherever the job runs.
    """
    result = config.copy()
    typed_in = HydraConfig.get().runtime.cwd if HydraConfig.initialized() else os.getcwd()
    for key in RUNS:
        if config[key] is not None:
            result[key] = os.path.normpath(Path(typed_in) / Path(config[key]).expanduser())
    return result


def shown(folder: Path) -> str:
    """A folder for a message: relative where it is inside of the present directory."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def _check_alone(config: DictConfig) -> None:
    """Refuse a mode and saved runs that do not go together."""
    for key in RUNS:
        if config[key] is not None and not config[key].strip():
            raise ConfigError(f"{key}= names no folder: state that of a run, or leave it out.")
    if config.mode != "train" and config.checkpoint is None:
        raise ConfigError(
            f"mode={config.mode} needs the run to {config.mode}: checkpoint=<run folder>."
        )
    if config.mode == "train" and config.checkpoint is not None:
        raise ConfigError(
            f"checkpoint={config.checkpoint} is for a run that is evaluated or shown: add "
            f"mode=evaluate or mode=show, or write resume={config.checkpoint} to go on training, "
            f"or init_from={config.checkpoint} to begin a new training with its weights."
        )
    of_training = {"resume": "goes on with a training", "init_from": "begins a training"}
    for key, what in of_training.items():
        if config.mode != "train" and config[key] is not None:
            raise ConfigError(
                f"{key}={config[key]} {what} and mode={config.mode} does not train: leave one of "
                "them out."
            )
    if config.resume is not None and config.init_from is not None:
        raise ConfigError(
            f"resume={config.resume} goes on with a training and init_from={config.init_from} "
            "begins another: leave one of them out."
        )


def evaluated_config(config: DictConfig, overrides: Sequence[str], checkpoint: Path) -> DictConfig:
    """Return the configuration to evaluate the run in the folder `checkpoint` with."""
    _check_training("checkpoint", checkpoint, MODEL)
    check_model("checkpoint", checkpoint)
    records.metrics(checkpoint)
    saved = load(checkpoint, config)
    stated = _over(saved, config, overrides, FREE_IN_EVALUATION, "when a saved run is evaluated")
    footprint.check(stated)
    if _same_encoding(saved, stated):
        return stated
    result = _ranges_as_case(saved, stated)
    if not _same_encoding(saved, result):
        _refuse_encoding(saved, result)
    return result


def shown_config(config: DictConfig, overrides: Sequence[str], checkpoint: Path) -> DictConfig:
    """Return the configuration to show the machine of the run in the folder `checkpoint` with."""
    _check_training("checkpoint", checkpoint, MODEL)
    check_model("checkpoint", checkpoint)
    saved = load(checkpoint, config)
    if saved.model.name != "ntm":
        raise ConfigError(
            f"mode=show shows a memory and its heads, and checkpoint={shown(checkpoint)} was made "
            f"with model={saved.model.name}, which has none: state a run with model=ntm."
        )
    return _over(saved, config, overrides, FREE_IN_SHOWING, "when a machine is shown")


def resumed_config(config: DictConfig, overrides: Sequence[str], resume: Path) -> DictConfig:
    """Return the configuration to go on with the run in the folder `resume`."""
    _check_training("resume", resume, CHECKPOINTS)
    saved = load(resume, config)
    result = _over(
        saved, config, overrides, FREE_IN_RESUMING, "when a run goes on where it stopped"
    )
    check_steps(f"resume={shown(resume)}", resume, result)
    return result


def check_steps(what: str, folder: Path, config: DictConfig) -> None:
    """Refuse to go on with a run in `folder` for fewer steps than it has done."""
    found = checkpoints.latest(folder / CHECKPOINTS, quiet=True)
    if found is None:
        return
    progress = checkpoints.progress_of(found)
    done = progress["step"] - progress.get("began", 0)
    if config.trainer.steps < done:
        raise ConfigError(
            f"{what} has done {done} steps and trainer.steps={config.trainer.steps} asks for "
            f"fewer: state trainer.steps={done} or more, or evaluate what there is with "
            f"mode=evaluate checkpoint={shown(folder)}."
        )


def warm_started_config(
    config: DictConfig, overrides: Sequence[str], init_from: Path
) -> DictConfig:
    """Return the configuration of a new training from the weights of the run in `init_from`."""
    _check_training("init_from", init_from, MODEL)
    check_model("init_from", init_from)
    saved = load(init_from, config)
    result = _over(saved, config, overrides, None, "when a training begins with a run's weights")
    if "trainer.restarts" not in {key for _, key, _ in stated_values(overrides)}:
        result.trainer.restarts = 0  # A new beginning would have other weights.
    before, after = task_from(saved), task_from(result)
    for what in ("input_dim", "output_dim"):
        was, now = getattr(before, what), getattr(after, what)
        if was != now:
            raise ConfigError(
                f"init_from={shown(init_from)} holds weights for {before.name} with an {what} of "
                f"{was}, and this {after.name} has one of {now}: choose a task of the same width."
            )
    return result


def write_config(config: DictConfig, folder: Path) -> None:
    """Write the configuration that runs, and if Hydra composed it how it did."""
    kept = config.copy()
    if config.resume is not None and Path(config.resume) == folder:  # It goes on where it is.
        kept.resume = None
    make((folder / CONFIG).parent)
    write_text(folder / CONFIG, OmegaConf.to_yaml(kept, resolve=True))
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        composed = OmegaConf.create({"hydra": OmegaConf.to_container(hydra, resolve=False)})
        write_text(folder / HYDRA, OmegaConf.to_yaml(composed))
        write_text(folder / OVERRIDES, OmegaConf.to_yaml(hydra.overrides.task))


def saved_names(folder: Path, options: Callable[[str], Sequence[str]]) -> dict[str, str]:
    """The option of each group that the run in `folder` was made with, as far as there is one.

    options: the options of a group that can be chosen.
    """
    try:
        saved = records.config(folder)
    except ConfigError:
        return {}
    nodes = {group: saved.get(group) for group in GROUPS}
    names = {g: str(node.get("name")) for g, node in nodes.items() if isinstance(node, dict)}
    return {group: name for group, name in names.items() if name in options(group)}


def _check_training(key: str, folder: Path, needed: str) -> None:
    """Refuse a folder that is not that of a training which got far enough to leave `needed`."""
    check_folder(key, folder, [CONFIG])
    mode = str(records.raw_config(folder).get("mode"))
    if mode in NO_TRAINING:
        raise ConfigError(
            f"{key}={shown(folder)} is the folder of {NO_TRAINING[mode]}, not of a training: state "
            "that of the run that it was made of."
        )
    check_folder(key, folder, [needed])


def check_folder(key: str, folder: Path, needed: Sequence[str]) -> None:
    """Refuse a folder that lacks one of the files `needed`; `key` is how it was asked for."""
    if not folder.is_dir():
        raise ConfigError(
            f"{key}={shown(folder)} is not a folder: state that of a run, with {needed[0]}."
        )
    for name in needed:
        path = folder / name
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            raise ConfigError(
                f"{key}={shown(folder)} has no {name}, which a run's folder holds: state that "
                f"of a run (such as outputs/copy/...) which got far enough to write it."
            )


def check_model(key: str, folder: Path) -> None:
    """Refuse a model that was cut short or changed, or whose weights are not finite.

    Before TensorFlow is imported to load it; `key` is how the folder was asked for.
    """
    reason = fault(folder / MODEL)
    if reason is not None:
        raise ConfigError(
            f"{key}={shown(folder)} has a damaged {MODEL} ({reason}): state another run, or let "
            f"`python run.py {as_override('resume', Path(shown(folder)))}` write the model again, "
            "in a new folder, from the checkpoints that the run left."
        )


def load(folder: Path, config: DictConfig) -> DictConfig:
    """Load a run's configuration from its folder, see `typed`."""
    return typed(records.config(folder), config, folder / CONFIG)


def typed(made: Mapping[str, Any], config: DictConfig, path: Path) -> DictConfig:
    """A saved configuration with the types of the schema; `path` is where it was found.

    A key that has another name today stands under that one, see `runner.config.names`. A key that
    it is too old to have gets its value without a recipe (recipe=none), since the run was not made
    with what a training has today; in an option that is not in conf/, that of `config`.
    """
    result = OmegaConf.structured(Config)
    try:
        made = dict(names.today(made))
        for group in GROUPS:
            node = made[group]
            name = node["name"]
            in_force = config[group] if name == config[group].name else {}
            values = {**in_force, **targets.without_recipe(group, name), **node}
            result[group] = _typed_group(group, values)
            made[group] = OmegaConf.to_container(result[group])
        plain: Any = OmegaConf.load(CONF / "config.yaml")
        plain.trainer.merge_with(OmegaConf.load(CONF / "recipe" / "none.yaml").trainer)
        result.merge_with({key: plain[key] for key in result if key not in GROUPS}, made)
    except (KeyError, TypeError, OmegaConfBaseException) as error:
        raise _of_no_run(path, error) from None
    return result


def _typed_group(group: str, values: Mapping[str, Any]) -> DictConfig:
    if group in targets.GROUPS:
        return targets.typed(group, values)
    result: DictConfig = OmegaConf.structured(OPTIONS[group][values["name"]])
    result.merge_with(values)
    return result


def _of_no_run(path: Path, error: Exception) -> ConfigError:
    reason = str(error).partition("\n")[0]
    return ConfigError(f"{path} does not describe a run of this version of the project ({reason}).")


def _over(
    saved: DictConfig,
    config: DictConfig,
    overrides: Sequence[str],
    free: Sequence[str] | None,
    when: str,
) -> DictConfig:
    """Put what was stated over a saved configuration, as far as it is free to differ.

    free: keys, and nodes whose values are, but not the choice of one; None for all but those of
        the weights.
    """
    may = f"What may differ: {', '.join(free) if free else 'all but ' + ', '.join(OF_WEIGHTS)}."
    result = saved.copy()
    for key in (*WHERE, *([] if free else ["init_from"])):
        result[key] = config[key]
    for override, key, value in stated_values(overrides):
        if key in (*WHERE, "init_from"):
            continue
        if key == "experiment" and value is not None:
            raise ConfigError(
                f"{override} cannot be used {when}: state the values that should "
                f"differ one by one. {may}"
            )
        is_choice = key in GROUPS and isinstance(value, str)
        if is_choice:
            given, was = config[key].name, saved[key].name
        else:
            given, was = OmegaConf.select(config, key), OmegaConf.select(saved, key)
        if given == was:
            continue
        if key == "recipe":
            raise ConfigError(
                f"{override} cannot be used {when}: its values are those of the run. "
                f"State the values that should differ one by one. {may}"
            )
        if _is_free(key, free) and not (is_choice and free):
            OmegaConf.update(result, key, OmegaConf.select(config, key), merge=False)
        else:
            raise ConfigError(
                f"{override} cannot be used {when}: the run was made with {key}={was}. {may}"
            )
    return result


def stated_values(overrides: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    """Each override with the key and the value that it states.

    `trainer={steps: 20}` states `trainer.steps` alone: what it does not name stays.
    """
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        text = str(override.input_line)
        parts = [(override.key_or_group, override.value())]
        while parts:
            key, value = parts.pop()
            if isinstance(value, dict) and value:
                parts += [(f"{key}.{name}", each) for name, each in reversed(value.items())]
            else:
                yield text, key, value


def _is_free(key: str, free: Sequence[str] | None) -> bool:
    """Whether `key` is one of those in `free`, or inside one of them; see `_over`."""
    return not is_inside(key, OF_WEIGHTS) if free is None else is_inside(key, free)


def is_inside(key: str, nodes: Sequence[str]) -> bool:
    """Whether a dotted key is one of these, or a value inside of one."""
    return any(f"{key}.".startswith(f"{node}.") for node in nodes)


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
