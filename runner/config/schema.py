"""The type of every configuration value.

Values and their meaning stand in `conf/`, one home for each default; here are only types and
constraints, one line a value, so that Hydra refuses an unknown key or a wrong type while it
composes. Each option of `model` and `optimizer` has its own dataclass, stored as
`schema_<group>_<option>` and named in the option's defaults list; those of `task` and `controller`
name a `_target_`, see `runner.config.targets`. Imports neither TensorFlow nor Keras: a
configuration error answers at once.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig

from controllers.feedforward import Activation
from ntm import Perturbation
from runner.config import plugins, targets
from runner.config.constraints import (
    at_least_one,
    at_least_zero,
    finite,
    one_of,
    positive,
    seed,
    share,
)
from runner.errors import ConfigError
from tasks import Task, format_case

ACTIVATIONS = typing.get_args(Activation)


@dataclass(kw_only=True)
class Ntm:
    """The memory and its heads (`ntm.*`)."""

    n_width: int = at_least_one()
    m_depth: int = at_least_one()
    shift_range: int = at_least_one()
    read_heads: int = at_least_one()
    write_heads: int = at_least_one()
    read_to_output: bool
    readout_units: int = at_least_zero()
    gate_offset: float = finite()
    write_gate_offset: float = finite()
    write_shift_offset: float = finite()
    sharpness_offset: float = finite()
    row_codes: float = finite()
    perturbation: Perturbation
    state_clip_norm: float | None = positive()
    gradient_checkpointing: int | None = at_least_one()


@dataclass(kw_only=True)
class Trainer:
    """The training loop (`trainer.*`)."""

    steps: int = at_least_one()
    batch_size: int = at_least_one()
    stop_when_solved: bool
    shards: int | None = at_least_one()
    evaluate_every: int = at_least_one()
    checkpoint_every: int = at_least_one()
    log_every: int = at_least_one()
    clip_norm: float | None = positive()
    ema_decay: float | None = share()
    clip_norm_ratio: float | None = positive()
    quadratic_clip: bool
    weight_noise: float | None = positive()
    state_clip_growth: float = positive()
    curriculum: int | None = at_least_one()
    restarts: int = at_least_zero()
    rollback: bool
    verbose: bool
    histograms: bool
    profile: list[int] | None


@dataclass(kw_only=True)
class Evaluate:
    """The evaluation at the end, on a schedule, and of a saved run (`evaluate.*`)."""

    cases: list[str] | None
    sequences: int = at_least_one()
    batch_size: int = at_least_one()


# Of `figures.format` and `figures.style`. A GIF shows the heads at work, step by step.
FORMATS, ANIMATION = ("png", "pdf", "svg"), "gif"
STYLES = ("screen", "paper")


@dataclass(kw_only=True)
class Figures:
    """The files in `figures/` of a run (`figures.*`); without a format none is drawn at all."""

    format: list[str] = one_of([*FORMATS, ANIMATION])
    style: str = one_of(STYLES)


@dataclass(kw_only=True)
class NtmModel:
    """`model=ntm`: the Neural Turing Machine, described by `ntm.*` and `controller.*`."""

    name: str


@dataclass(kw_only=True)
class DenseModel:
    """`model=dense`: hidden layers of these sizes applied to each step alone, no memory."""

    name: str
    units: list[int] = at_least_one()
    activation: str = one_of(ACTIVATIONS)


@dataclass(kw_only=True)
class LstmModel:
    """`model=lstm`: LSTM layers of these sizes, no memory."""

    name: str
    units: list[int] = at_least_one()


@dataclass(kw_only=True)
class Optimizer:
    """What every optimizer has, or a recipe may set whichever it is (`amsgrad`, Adam's alone)."""

    name: str
    amsgrad: bool
    learning_rate: float = positive()
    schedule: str = one_of(["constant", "linear", "cosine"])
    clip_value: float | None = positive()


@dataclass(kw_only=True)
class Adam(Optimizer):
    """`optimizer=adam`."""

    beta_1: float = share()
    beta_2: float = share()
    epsilon: float = positive()


@dataclass(kw_only=True)
class RmsProp(Optimizer):
    """`optimizer=rmsprop`."""

    rho: float = share()
    momentum: float = share()
    epsilon: float = positive()
    centered: bool


@dataclass(kw_only=True)
class Config:
    """The whole configuration of a run, as `python run.py --cfg job` prints it."""

    recipe: str | None
    seed: int = seed()
    mode: str = one_of(["train", "evaluate", "show"])
    device: str = one_of(["auto", "cpu", "gpu"])
    compilation_cache: str | None
    checkpoint: str | None
    resume: str | None
    init_from: str | None
    ntm: Ntm
    trainer: Trainer
    evaluate: Evaluate
    figures: Figures
    task: Any = MISSING
    model: Any = MISSING
    controller: Any = MISSING
    optimizer: Any = MISSING


# The groups whose options have a dataclass here, and all groups of options.
OPTIONS: dict[str, Mapping[str, type]] = {
    "model": {"ntm": NtmModel, "dense": DenseModel, "lstm": LstmModel},
    "optimizer": {"adam": Adam, "rmsprop": RmsProp},
}
GROUPS = (*targets.GROUPS, *OPTIONS)


def register() -> None:
    """Put the schema into Hydra's ConfigStore.

    Hydra copies the store, which it only reads, whenever it composes and for each group that
    --help lists. Sharing it halves the time until help or an error is shown.
    """
    setattr(ConfigStore, "__deepcopy__", lambda store, memo: store)  # noqa: B010 (mypy)
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, options in OPTIONS.items():
        for option, node in options.items():
            store.store(name=f"schema_{group}_{option}", node=node)
    plugins.prefer_ours()


def with_types(config: DictConfig) -> DictConfig:
    """A composed configuration whose task and controller have the types of their targets.

    Raises ConfigError.
    """
    result = config.copy()
    for group in targets.GROUPS:
        result[group] = targets.typed(group, config[group])
    return result


def task_from(config: DictConfig) -> Task:
    """Return the task that `config.task` describes. Raises ConfigError if it cannot be."""
    try:
        values = targets.arguments(config.task)
        return targets.task_class(config.task[targets.TARGET])(**values)
    except ValueError as error:
        raise ConfigError(f"{error}.") from None


def cases_from(config: DictConfig, task: Task) -> list[str]:
    """Return the cases that a run is evaluated on: a training also on the one that decides.

    However it is written, a case has one name, that of `tasks.cases.format_case`.

    Raises ConfigError if the task does not have one of them.
    """
    try:
        named = config.evaluate.cases or task.cases()
        cases = list(dict.fromkeys(format_case(task.parse_case(case)) for case in named))
    except ValueError as error:
        raise ConfigError(f"{error}.") from None
    if config.mode == "train" and task.solved_case() not in cases:
        cases.append(task.solved_case())
    return cases
