"""Runs to be compared: seeds under labels, read from the folders of sweeps or of single runs.

Only files are read. What would make a comparison mean nothing is refused: runs of two tasks, or
runs under one label that differ in more than their seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config import varied
from runner.config.schema import task_from
from runner.config.targets import GROUPS, TARGET, typed
from runner.errors import ConfigError
from runner.results import runs
from runner.store import records
from tasks import Task

# Values in which runs may differ and still be seeds of one experiment.
NO_MATTER = ("recipe", varied.SEED, *varied.NO_MATTER)
PER_SEQUENCE = "_per_sequence"
WRONG = "bit_errors" + PER_SEQUENCE
HELD = 0.1  # wrong bits a sequence up to which a task that was solved counts as not lost


class Seed(NamedTuple):
    """One run: what it left, and the points of its training curve, empty if it left none.

    evaluations: the scheduled ones, as `history.json` has them.
    """

    run: runs.Run
    history: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]

    @property
    def folder(self) -> Path:
        return self.run.folder

    @property
    def seed(self) -> Any:
        return self.run.config.get("seed")

    def metric(self, name: str) -> Any:
        """A number of `metrics.json`, None if the run did not get to it."""
        return self.run.metrics.get(name)

    def score(self, case: str, name: str) -> float | None:
        """A score of a case, such as `bit_errors`, a sequence."""
        value = self.metric(f"{case} {name}{PER_SEQUENCE}")
        return value if isinstance(value, int | float) else None

    def lost_again(self, task: Task) -> int | None:
        """How many scheduled evaluations after the first that solved the task did not hold it.

        That is, were not solved and had more than `HELD` wrong bits. None: it was never solved, or
        the scores do not say.
        """
        case = task.solved_case()
        results = [each["results"][case] for each in self.evaluations if case in each["results"]]
        try:
            solved = [task.solved(scores) for scores in results]
            lost = [
                not held and scores[WRONG] > HELD
                for held, scores in zip(solved, results, strict=True)
            ]
        except (KeyError, TypeError):
            return None
        return sum(lost[solved.index(True) :]) if True in solved else None

    @property
    def cases(self) -> list[str]:
        """The cases that it was evaluated on."""
        return [key.partition(" ")[0] for key in self.run.metrics if key.endswith(" bit_accuracy")]


@dataclass(frozen=True)
class Study:
    """Seeds under labels.

    tasks: the task of each label with a run that was started, with its training ranges.
    cases: all that any run was evaluated on, shortest first.
    """

    tasks: dict[str, Task]
    seeds: dict[str, list[Seed]]
    cases: list[str]

    @property
    def task(self) -> Task:
        """The task that all labels share."""
        return next(iter(self.tasks.values()))

    @property
    def trained(self) -> list[str]:
        """The cases inside the training range of every label."""
        tasks = self.tasks.values()
        return [case for case in self.cases if all(task.trains_on(case) for task in tasks)]


def read(arguments: Sequence[str]) -> Study:
    """Read what `LABEL=FOLDER` or `FOLDER` arguments name.

    A folder is that of a sweep or of one run. Folders with the same label are joined. Without a
    label runs are grouped by what differs between them beside the seed.

    Raises ConfigError.
    """
    found: list[tuple[str, Path, Seed]] = []
    for argument in arguments:
        label, folder = _split(argument)
        found += [(label, folder, seed) for seed in _seeds(folder)]
    differing = runs.columns([seed.run for label, _, seed in found if not label])
    keys = [key for key in differing if key not in NO_MATTER]
    seeds: dict[str, list[Seed]] = {}
    for label, folder, seed in found:
        seeds.setdefault(label or _own_label(seed, folder, keys), []).append(seed)
    for label, members in seeds.items():
        _check_same(label, members)
    found_tasks = {label: _task(members) for label, members in seeds.items()}
    tasks = {label: task for label, task in found_tasks.items() if task}
    if not tasks:
        raise ConfigError(f"no run in {', '.join(arguments)} was started: none has .hydra/.")
    _check_one_task(tasks)
    task = next(iter(tasks.values()))
    cases = {case for members in seeds.values() for seed in members for case in seed.cases}
    return Study(tasks, seeds, sorted(cases, key=lambda case: _steps(task, case, arguments)))


def _steps(task: Task, case: str, arguments: Sequence[str]) -> int:
    try:
        return task.steps(**task.parse_case(case))
    except ValueError as error:
        raise ConfigError(f"a run in {', '.join(arguments)} was evaluated on {error}.") from None


def _split(argument: str) -> tuple[str, Path]:
    """The label, empty if there is none, and the folder."""
    label, _, name = argument.rpartition("=")
    folder = Path(argument) if not label or Path(argument).is_dir() else Path(name)
    if not folder.is_dir():
        raise ConfigError(
            f"{folder} is not a folder: state LABEL=FOLDER with the folder of a sweep (such as "
            "multirun/...) or of a run (such as outputs/copy/...)."
        )
    return ("" if folder == Path(argument) else label), folder


def _seeds(folder: Path) -> list[Seed]:
    found = [runs.read_run(folder)] if runs.is_run(folder) else runs.read(folder)
    if not found:
        raise ConfigError(
            f"{folder} holds no run: state the folder of a sweep, or of a run, with .hydra/ in it."
        )
    for run in found:
        records.refuse_references(run.folder, run.config)
    return [
        Seed(run, records.history(run.folder), records.evaluations(run.folder)) for run in found
    ]


def _own_label(seed: Seed, folder: Path, keys: Sequence[str]) -> str:
    if not seed.run.values:
        return str(seed.folder)
    return varied.label(seed.run.values, keys).replace(" ", ", ") or folder.name


def _check_same(label: str, members: Sequence[Seed]) -> None:
    """Refuse runs that differ in more than their seed; a key that one lacks is null in it."""
    configs = [records.flat(seed.run.config) for seed in members if seed.run.config]
    left_out = (*NO_MATTER, *(f"{group}.{TARGET}" for group in GROUPS))  # names say that, too
    keys = dict.fromkeys(key for config in configs for key in config if key not in left_out)
    for key in keys:
        values = list(dict.fromkeys(str(config.get(key)) for config in configs))
        if len(values) > 1:
            raise ConfigError(
                f"the runs under {label!r} differ in more than their seed: {key} is "
                f"{' or '.join(values)}. Give each kind a label of its own, with the folders of "
                "its runs (LABEL=SWEEP/0 LABEL=SWEEP/1 ...), or leave the label out: then runs "
                "are divided by what differs between them."
            )


def _task(members: Sequence[Seed]) -> Task | None:
    """The task of the runs, None if none was started."""
    for seed in members:
        if seed.run.config:
            try:
                node = typed("task", seed.run.config.get("task"))
                return task_from(OmegaConf.create({"task": node}))
            except (AttributeError, KeyError, TypeError, OmegaConfBaseException) as error:
                raise ConfigError(
                    f"{seed.folder} was not made by this version of the project ({error})."
                ) from None
    return None


def _check_one_task(tasks: Mapping[str, Task]) -> None:
    first = next(iter(tasks))
    for label, task in tasks.items():
        if task.name != tasks[first].name:
            raise ConfigError(
                f"{first!r} holds runs of {tasks[first].name} and {label!r} runs of {task.name}: "
                "compare the runs of one task at a time."
            )
