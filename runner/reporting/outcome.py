"""What a run comes to: its results for a person, and the number that a sweeper minimises."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.config.schema import task_from
from runner.reporting.results_text import print_results
from runner.store import records
from tasks import Task

log = logging.getLogger(__name__)


def model_name(config: Any) -> str:
    """The model for a person: `ntm, lstm controller`."""
    model = config.model.name
    return f"{model}, {config.controller.name} controller" if model == "ntm" else str(model)


def show(config: Any, task: Task, results: Mapping[str, Any]) -> None:
    """Print the results of all cases."""
    print_results(results, f"{task.name}, {model_name(config)}, seed {config.seed}")


def objective(task: Task, results: Mapping[str, Any]) -> float:
    """The loss in bits a sequence at the deciding case, or the first one that was evaluated."""
    return float(deciding(task, results)["loss_bits_per_sequence"])


def deciding(task: Task, results: Mapping[str, Any]) -> Mapping[str, Any]:
    """The scores of the deciding case, or of the first one that was evaluated."""
    found: Mapping[str, Any] = results.get(task.solved_case()) or next(iter(results.values()))
    return found


def of_complete(config: Any, directory: Path) -> float:
    """The objective of a run that has ended here already, whose results are shown again."""
    task, results = task_from(config), records.metrics(directory)["evaluation"]
    show(config, task, results)
    status = records.status(directory)["status"]
    log.info("%s already, nothing is left to do: %s", status, directory)
    return objective(task, results)
