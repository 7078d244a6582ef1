"""Who looks into a training for TensorBoard: at its state, its heads, its weights, its speed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from runner.reporting import glance, hparams
from runner.reporting.canvas import to_png
from runner.reporting.tensorboard import TensorBoardLog
from runner.training.train import Observer, Training


def of_run(config: Any, log: TensorBoardLog, folder: Path) -> list[Observer]:
    """Those that a configuration asks for; folder: of the run's event files."""
    found: list[Observer] = [Brief(log)]
    if config.model.name == "ntm" and config.figures.format:
        found.append(Heads(log))
    if config.trainer.histograms:
        found.append(Histograms(log))
    if config.trainer.profile:
        found.append(Profile(folder, *config.trainer.profile))
    return found


class Brief(Observer):
    """Writes what says most of a run, see `hparams.in_brief`, at each evaluation."""

    def __init__(self, log: TensorBoardLog) -> None:
        self.log = log

    def after_evaluation(self, number: int, training: Training) -> None:
        progress, task = training.progress, training.task
        scores = progress.evaluations[-1]["results"][task.solved_case()]
        sequences = number * training.config.trainer.batch_size
        at = progress.solved_at_sequences
        shown = hparams.in_brief(scores, task.solved(scores), progress.seconds, sequences, at)
        self.log.scalars(number, shown)


class Heads(Observer):
    """Writes a small picture of the heads after the evaluations 1, 2, 4, 8 and so on.

    That is often enough to watch them form, and no more pictures than TensorBoard keeps of a name.
    """

    def __init__(self, log: TensorBoardLog) -> None:
        self.log = log

    def after_evaluation(self, number: int, training: Training) -> None:
        count = len(training.progress.evaluations)
        if count & (count - 1):
            return
        scores = training.progress.evaluations[-1]["results"][training.task.solved_case()]
        title = f"step {number}: {scores['bit_errors_per_sequence']:.3g} wrong bits"
        figure = glance.heads_glance(_trace(training), title)
        self.log.images(number, {f"{hparams.BRIEF}/heads": to_png(figure)})


class Histograms(Observer):
    """Writes the distributions of the weights, and of their gradients on the batch of this step."""

    def __init__(self, log: TensorBoardLog) -> None:
        self.log = log

    def after_evaluation(self, number: int, training: Training) -> None:
        self.log.histograms(number, _named("weights", training.weights()))
        self.log.histograms(number, _named("gradients", training.gradients(number)))


class Profile(Observer):
    """Writes a profile of the steps from `first` to `last`, for TensorBoard's Profile page."""

    def __init__(self, folder: Path, first: int, last: int) -> None:
        self.folder = folder
        self.first = first
        self.last = last
        self.running = False

    def before_step(self, number: int, training: Training) -> None:
        if number == self.first:
            _wait(training)
            tf.profiler.experimental.start(str(self.folder))
            self.running = True
        elif number > self.last:
            self.close(training)

    def close(self, training: Training) -> None:
        if self.running:
            self.running = False
            _wait(training)
            tf.profiler.experimental.stop()


def _trace(training: Training) -> dict[str, np.ndarray]:
    """The heads on one sequence of the deciding case, with the weights that are evaluated."""
    evaluator = training.evaluator
    case = training.task.solved_case()
    batch, _ = evaluator.sample(case, training.step.evaluated_weights)
    model = evaluator.predict.model
    length = int(batch.mask[0].sum())
    with _with_weights(model, training.step.evaluated_weights):
        trace = model.get_layer("ntm").trace(batch.inputs[:1, :length])
    return {name: trace[name][0] for name in ("write_weights", "read_weights")}


@contextmanager
def _with_weights(model: Any, weights: list[Any]) -> Iterator[None]:
    """Let a model have these trainable weights for a while."""
    before = [variable.numpy() for variable in model.trainable_variables]
    try:
        for variable, value in zip(model.trainable_variables, weights, strict=True):
            variable.assign(value)
        yield
    finally:
        for variable, value in zip(model.trainable_variables, before, strict=True):
            variable.assign(value)


def _named(group: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{group}/{path}": array for path, array in arrays.items()}


def _wait(training: Training) -> None:
    """Until all steps that were asked for are computed."""
    float(training.step.clipping.norm_mean)
