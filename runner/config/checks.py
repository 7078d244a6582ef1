"""What the schema's types cannot say about a configuration, checked before TensorFlow is imported.

Each message says what was given and what would be right. `resolve` is the way from what Hydra
composed to what runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from ntm import Perturbation
from runner.config import constraints, footprint, recipe, saved, targets
from runner.config.explain import options_of, unknown_key
from runner.config.schema import (
    ANIMATION,
    GROUPS,
    OPTIONS,
    cases_from,
    task_from,
    with_types,
)
from runner.errors import ConfigError
from tasks import Task


def resolve(
    config: DictConfig, overrides: Sequence[str], here: bool = True
) -> tuple[DictConfig, list[str]]:
    """Return the configuration that runs, checked, and warnings about it.

    config: what Hydra composed; overrides: what the person stated on the command line, as in
        `hydra.overrides.task`. They differ from the result when a saved run is evaluated or
        gone on with.
    here: whether it runs on this machine, whose memory is then compared with what it takes.

    Raises ConfigError.
    """
    if isinstance(overrides, ListConfig):  # Reading it would resolve the references in its texts.
        overrides = cast("list[str]", OmegaConf.to_container(overrides))
    recipe.check(config, overrides)
    _check_names(overrides)
    _check_shape(config)
    config = with_types(config)
    constraints.check(config)
    config = saved.with_saved(config, overrides)
    _check_flags(config, overrides)
    _check_beside(config, overrides)
    return config, validate(config, here)


def validate(config: DictConfig, here: bool = True) -> list[str]:
    """Check the values of a typed configuration and return warnings, as `resolve`.

    Raises ConfigError.
    """
    constraints.check(config)
    _check_together(config)
    task = task_from(config)
    _check_cases(config, task)
    _check_animation(config)
    if here:
        footprint.check(config)
    if config.model.name != "ntm":
        return []
    _check_shift(config)
    return list(_memory_warnings(config, task))


def refuse_unknown(node: DictConfig, prefix: str, root: DictConfig) -> None:
    """Refuse keys that the dataclass of a node does not have: `+key=value` can add them.

    prefix: the key of the node with a dot at its end; root: the configuration it belongs to.
    """
    fields = getattr(OmegaConf.get_type(node), "__dataclass_fields__", None)
    for key in map(str, node):
        if fields is not None and key not in fields:
            raise ConfigError(unknown_key(f"{prefix}{key}", root))
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
            refuse_unknown(child, f"{prefix}{key}.", root)


def _check_shape(config: DictConfig) -> None:
    """Refuse keys that were added with `+`, values still missing, a name of another option."""
    refuse_unknown(config, "", config)
    _check_interpolations(config)
    _check_lists(OmegaConf.to_container(config))
    for key in sorted(OmegaConf.missing_keys(config)):
        raise ConfigError(f"{key} has no value: state {key}=... on the command line or in a file.")
    for group, options in OPTIONS.items():
        name = config[group].name
        if options.get(name) is not OmegaConf.get_type(config[group]):
            raise _named_by_itself(group, f"{group}.name={name}")


def _check_names(overrides: Sequence[str]) -> None:
    """Refuse the name or the target of an option as a value: the other values are not its own."""
    for override in overrides:
        group, _, key = override.lstrip("+~").partition("=")[0].partition(".")
        if group in GROUPS and key in ("name", targets.TARGET):
            raise _named_by_itself(group, override)


# Values that act only beside another one: the key, whether the value asks for something, whether
# the other one lets it, and the key of that.
BESIDE: tuple[tuple[str, Callable[[Any], bool], Callable[[Any], bool], str], ...] = (
    (
        "optimizer.amsgrad",
        bool,
        lambda config: config.optimizer.name == "adam",
        "optimizer=adam",
    ),
    (
        "trainer.quadratic_clip",
        bool,
        lambda config: config.trainer.clip_norm or config.trainer.clip_norm_ratio,
        "trainer.clip_norm=... or trainer.clip_norm_ratio=...",
    ),
    (
        "trainer.state_clip_growth",
        lambda growth: growth != 1,
        lambda config: config.ntm.state_clip_norm,
        "ntm.state_clip_norm=...",
    ),
)


def _check_beside(config: DictConfig, overrides: Sequence[str]) -> None:
    """Refuse what a person asks for and what would do nothing; a recipe may set it."""
    stated = {key for _, key, _ in saved.stated_values(overrides)}
    for key, asked, acts, other in BESIDE:
        value = OmegaConf.select(config, key)
        if key in stated and asked(value) and not acts(config):
            raise ConfigError(
                f"{key}={value} does nothing without {other}: leave it out, or state that."
            )


def _check_flags(config: DictConfig, overrides: Sequence[str]) -> None:
    """Refuse a number for a flag: OmegaConf takes all but 0 for true."""
    for text, key, value in saved.stated_values(overrides):
        is_number = isinstance(value, int | float) and value not in (0, 1)
        if is_number and isinstance(OmegaConf.select(config, key), bool):
            raise ConfigError(f"{text.lstrip('+')} must be true or false.")


def _named_by_itself(group: str, given: str) -> ConfigError:
    return ConfigError(
        f"{given} cannot be set by itself: choose an option with {group}=... "
        f"({', '.join(sorted(options_of(group)))})."
    )


def _check_lists(node: Any, prefix: str = "") -> None:
    """Refuse a list or a map inside of a list, which the types of OmegaConf let through."""
    for key, value in node.items():
        if isinstance(value, dict):
            _check_lists(value, f"{prefix}{key}.")
        elif isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
            raise ConfigError(f"{prefix}{key}={value} must be a plain list, such as [a,b].")


def _check_interpolations(config: DictConfig) -> None:
    try:
        OmegaConf.to_container(config, resolve=True)
    except InterpolationResolutionError as error:
        reason = re.sub(r"^\w+ raised while resolving interpolation: ", "", str(error))
        reason = reason.partition("\n")[0].strip("'\"")
        raise ConfigError(f"{error.full_key} refers to what does not exist: {reason}.") from None


def _check_together(config: DictConfig) -> None:
    """Check values that are right or wrong only beside others."""
    try:
        Perturbation(**config.ntm.perturbation)
    except ValueError as error:
        raise ConfigError(f"ntm.perturbation.{error}.") from None
    steps = config.trainer.profile
    if steps is not None and not (len(steps) == 2 and 1 <= steps[0] <= steps[1]):
        raise ConfigError(
            f"trainer.profile={steps} must be the first and the last step of the profile, such as "
            "[100,110]."
        )
    if steps is not None and steps[0] > config.trainer.steps:
        raise ConfigError(
            f"trainer.profile={steps} begins after the last step: state steps of the training, "
            f"which has trainer.steps={config.trainer.steps}."
        )


def _check_shift(config: DictConfig) -> None:
    shifts, rows = config.ntm.shift_range, config.ntm.n_width
    if shifts > rows:
        raise ConfigError(
            f"ntm.shift_range={shifts} is larger than ntm.n_width={rows}: a head cannot shift "
            f"further than round the memory. Set ntm.shift_range to at most {rows}."
        )


def _check_cases(config: DictConfig, task: Task) -> None:
    if config.evaluate.cases is not None and not config.evaluate.cases:
        raise ConfigError("evaluate.cases=[] is empty: name a case, or null for the task's own.")
    cases_from(config, task)


def _check_animation(config: DictConfig) -> None:
    if ANIMATION in config.figures.format and config.model.name != "ntm":
        raise ConfigError(
            f"figures.format={config.figures.format} asks for an animation of the heads, and "
            f"model={config.model.name} has none: leave {ANIMATION} out."
        )


def _memory_warnings(config: DictConfig, task: Task) -> Iterator[str]:
    rows, needed = config.ntm.n_width, task.rows_needed()
    if rows < needed:
        yield (
            f"ntm.n_width={rows} is less than the {needed} rows that the longest training "
            f"sequence of {task.name} fills: it may not be learnt"
        )
