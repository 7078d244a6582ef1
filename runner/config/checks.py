"""What the schema's types cannot say about a configuration, checked before TensorFlow is imported.

Each message says what was given and what would be right. `settle` is the way from what Hydra
composed to what runs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from ntm import Perturbation
from runner.config import footprint, recipe, saved
from runner.config.explain import unknown_key
from runner.config.schema import ANIMATION, FORMATS, GROUPS, STYLES, cases_from, task_from
from runner.errors import ConfigError
from tasks import Task
from tasks.base import suggestion

CHOICES = {
    "mode": ("train", "evaluate"),
    "device": ("auto", "cpu", "gpu"),
    "optimizer.schedule": ("constant", "linear", "cosine"),
    "figures.style": STYLES,
    "controller.activation": (
        *("linear", "relu", "tanh", "sigmoid", "elu", "selu", "gelu", "silu", "softsign"),
    ),
}
CHOICES["model.activation"] = CHOICES["controller.activation"]
AT_LEAST_ONE = (
    "ntm.n_width",
    "ntm.m_depth",
    "ntm.shift_range",
    "ntm.read_heads",
    "ntm.write_heads",
    "ntm.gradient_checkpointing",
    "trainer.steps",
    "trainer.batch_size",
    "trainer.shards",
    "trainer.evaluate_every",
    "trainer.checkpoint_every",
    "trainer.log_every",
    "trainer.curriculum",
    "trainer.restart_at",
    "evaluate.sequences",
    "evaluate.batch_size",
    "controller.units",
    "model.units",
)
# Sizes and counts of TensorFlow and NumPy on every machine, and of the seeds that both take.
LARGEST, LARGEST_SEED = 2**31 - 1, 2**32 - 1
LARGEST_FLOAT = 3.4028234663852886e38  # of float32
# Keys of numbers (null is none), what is allowed, and how an error puts it.
RULES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (
        (
            "optimizer.learning_rate",
            "optimizer.epsilon",
            "optimizer.clip_value",
            "ntm.state_clip_norm",
            "trainer.clip_norm",
            "trainer.clip_norm_ratio",
            "trainer.weight_noise",
            "trainer.restart_above",
            "trainer.state_clip_growth",
        ),
        lambda value: 0 < value < math.inf,
        "larger than 0 and finite",
    ),
    (
        (
            "ntm.readout_units",
            "trainer.restarts",
        ),
        lambda value: 0 <= value < math.inf,
        "at least 0 and finite",
    ),
    (
        ("ntm.gate_offset", "ntm.sharpness_offset", "ntm.row_codes"),
        math.isfinite,
        "a finite number",
    ),
    (
        (
            "optimizer.beta_1",
            "optimizer.beta_2",
            "optimizer.rho",
            "optimizer.momentum",
            "trainer.ema_decay",
        ),
        lambda value: 0 <= value < 1,
        "at least 0 and less than 1",
    ),
)


def settle(
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
    _check_shape(config)
    _check_choices(config)
    config = saved.with_saved(config, overrides)
    return config, validate(config, here)


def validate(config: DictConfig, here: bool = True) -> list[str]:
    """Check the values of a configuration and return warnings, as `settle`. Raises ConfigError."""
    _check_shape(config)
    _check_choices(config)
    _check_numbers(config)
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
    for group, options in GROUPS.items():
        name = config[group].name
        if options.get(name) is not OmegaConf.get_type(config[group]):
            raise ConfigError(
                f"{group}.name={name} cannot be set by itself: choose an option with "
                f"{group}=... ({', '.join(options)})."
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


def _check_choices(config: DictConfig) -> None:
    for key, choices in CHOICES.items():
        value = OmegaConf.select(config, key)
        if value is not None and value not in choices:
            raise ConfigError(
                f"{key}={value} is not known{suggestion(value, choices)}: "
                f"choose one of {', '.join(choices)}."
            )
    _check_formats(config)


def _check_formats(config: DictConfig) -> None:
    formats, known = list(config.figures.format), (*FORMATS, ANIMATION)
    for name in formats or [""]:
        if name not in known:
            raise ConfigError(
                f"figures.format={config.figures.format} must name one or several of "
                f"{', '.join(known)}{suggestion(name, known)}: such as figures.format=[png,pdf]."
            )


def _check_numbers(config: DictConfig) -> None:
    if not 0 <= config.seed <= LARGEST_SEED:
        raise ConfigError(f"seed={config.seed} must be 0 or more, and at most {LARGEST_SEED}.")
    for key in AT_LEAST_ONE:
        value = OmegaConf.select(config, key)
        for number in value if isinstance(value, ListConfig) else [value]:
            if number is not None and number < 1:
                raise ConfigError(f"{key}={value} must be at least 1.")
    for keys, allowed, description in RULES:
        for key in keys:
            value = OmegaConf.select(config, key)
            if value is not None and not allowed(value):
                raise ConfigError(f"{key}={value} must be {description}.")
    _check_largest(config)
    try:
        Perturbation(**config.ntm.perturbation)
    except ValueError as error:
        raise ConfigError(f"ntm.perturbation.{error}.") from None
    trainer = config.trainer
    for key in ("restart_at", "restart_above") if trainer.restarts else ():
        if trainer[key] is None:
            raise ConfigError(
                f"trainer.restarts={trainer.restarts} does not say when to begin again: set "
                f"trainer.{key}, or trainer.restarts=0."
            )
    for key in ("controller.units", "model.units"):
        if OmegaConf.select(config, key) == []:
            raise ConfigError(f"{key}=[] must name the size of at least one layer, e.g. [100].")


def _check_largest(node: Any, prefix: str = "") -> None:
    """Refuse numbers that no array can have as its size, and no float32 as its value."""
    for key, value in node.items():
        if isinstance(value, DictConfig):
            _check_largest(value, f"{prefix}{key}.")
            continue
        for number in value if isinstance(value, ListConfig) else [value]:
            if isinstance(number, int) and number > LARGEST and key != "seed":
                raise ConfigError(f"{prefix}{key}={value} must be at most {LARGEST}.")
            if isinstance(number, float) and LARGEST_FLOAT < abs(number) < math.inf:
                raise ConfigError(
                    f"{prefix}{key}={value} is beyond float32, whose largest number is "
                    f"{LARGEST_FLOAT:.1e}."
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
