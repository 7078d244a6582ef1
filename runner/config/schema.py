"""The type of every configuration value.

Values and their meaning stand in `conf/`, one home for each default; here are only types, so that
Hydra refuses an unknown key or a wrong type while it composes. Each option of a group has its own
dataclass, stored as `schema_<group>_<option>` and named in the option's defaults list; for `task`
it is the task itself. Imports neither TensorFlow nor Keras: a configuration error answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig

from ntm import Perturbation
from runner.errors import ConfigError
from tasks import TASKS, Task


@dataclass
class Ntm:
    """The memory and its heads (`ntm.*`)."""

    n_width: int
    m_depth: int
    shift_range: int
    read_heads: int
    write_heads: int
    read_to_output: bool
    readout_units: int
    gate_offset: float
    sharpness_offset: float
    row_codes: float
    perturbation: Perturbation
    state_clip_norm: float | None
    gradient_checkpointing: int | None


@dataclass
class Trainer:
    """The training loop (`trainer.*`)."""

    steps: int
    batch_size: int
    stop_when_solved: bool
    shards: int | None
    evaluate_every: int
    checkpoint_every: int
    log_every: int
    clip_norm: float | None
    ema_decay: float | None
    clip_norm_ratio: float | None
    quadratic_clip: bool
    weight_noise: float | None
    state_clip_growth: float
    curriculum: int | None
    restarts: int
    restart_at: int | None
    restart_above: float | None
    verbose: bool


@dataclass
class Evaluate:
    """The evaluation at the end, on a schedule, and of a saved run (`evaluate.*`)."""

    cases: list[str] | None
    sequences: int
    batch_size: int


# Of `figures.format` and `figures.style`. A GIF shows the heads at work, step by step.
FORMATS, ANIMATION = ("png", "pdf", "svg"), "gif"
STYLES = ("screen", "paper")


@dataclass
class Figures:
    """The files in `figures/` of a run (`figures.*`)."""

    format: list[str]
    style: str


@dataclass
class Dense:
    """`controller=dense`: one linear layer."""

    name: str


@dataclass
class DoubleDense:
    """`controller=double_dense`: a hidden layer, then a linear one."""

    name: str
    units: int
    activation: str


@dataclass
class Lstm:
    """`controller=lstm`: LSTM layers of these sizes, then a linear one."""

    name: str
    units: list[int]


@dataclass
class NtmModel:
    """`model=ntm`: the Neural Turing Machine, described by `ntm.*` and `controller.*`."""

    name: str


@dataclass
class DenseModel:
    """`model=dense`: hidden layers of these sizes applied to each step alone, no memory."""

    name: str
    units: list[int]
    activation: str


@dataclass
class LstmModel:
    """`model=lstm`: LSTM layers of these sizes, no memory."""

    name: str
    units: list[int]


@dataclass
class Optimizer:
    """What every optimizer has."""

    name: str
    learning_rate: float
    schedule: str
    clip_value: float | None


@dataclass
class Adam(Optimizer):
    """`optimizer=adam`."""

    beta_1: float
    beta_2: float
    epsilon: float


@dataclass
class RmsProp(Optimizer):
    """`optimizer=rmsprop`."""

    rho: float
    momentum: float
    epsilon: float
    centered: bool


@dataclass
class Config:
    """The whole configuration of a run, as `python run.py --cfg job` prints it."""

    recipe: str | None
    seed: int
    mode: str
    device: str
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


GROUPS: dict[str, Mapping[str, type]] = {
    "task": TASKS,
    "model": {"ntm": NtmModel, "dense": DenseModel, "lstm": LstmModel},
    "controller": {"dense": Dense, "double_dense": DoubleDense, "lstm": Lstm},
    "optimizer": {"adam": Adam, "rmsprop": RmsProp},
}


def register() -> None:
    """Put the schema into Hydra's ConfigStore.

    Hydra copies the store, which it only reads, whenever it composes and for each group that
    --help lists. Sharing it halves the time until help or an error is shown.
    """
    setattr(ConfigStore, "__deepcopy__", lambda store, memo: store)  # noqa: B010 (mypy)
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, options in GROUPS.items():
        for option, node in options.items():
            store.store(name=f"schema_{group}_{option}", node=node)


def task_from(config: DictConfig) -> Task:
    """Return the task that `config.task` describes. Raises ConfigError if it cannot be."""
    try:
        return TASKS[config.task.name](**config.task)
    except ValueError as error:
        raise ConfigError(f"{error}.") from None


def cases_from(config: DictConfig, task: Task) -> list[str]:
    """Return the cases that a run is evaluated on: a training also on the one that decides.

    Raises ConfigError if the task does not have one of them.
    """
    try:
        cases = list(config.evaluate.cases or task.cases())
        for case in cases:
            task.parse_case(case)
    except ValueError as error:
        raise ConfigError(f"{error}.") from None
    if config.mode == "train" and task.solved_case() not in cases:
        cases.append(task.solved_case())
    return cases
