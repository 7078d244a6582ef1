"""Everything a run shows: the terminal, TensorBoard and the figures of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from runner.reporting import charts, figures
from runner.reporting.progress import Progress as Terminal
from runner.reporting.tensorboard import TensorBoardLog
from runner.training.evaluate import Evaluator
from runner.training.state import TrainingState
from tasks import Batch, NGrams, Task, optimal_probabilities

Results = Mapping[str, Mapping[str, float]]


class Reporter:
    """The `Watcher` of a run: tells the terminal and TensorBoard how its training goes."""

    def __init__(self, terminal: Terminal, log: TensorBoardLog) -> None:
        self.terminal = terminal
        self.log = log

    def trained(self, step: int, point: dict[str, float]) -> None:
        self.log.scalars(step, {f"train/{name}": value for name, value in point.items()})
        self.terminal.update(
            step, point["sequences_per_second"], point["loss_bits"], point["bit_errors"]
        )

    def evaluated(self, step: int, results: dict[str, dict[str, float]]) -> None:
        self.log.cases(step, results)
        self.terminal.evaluated(step, results)

    def began_again(self, steps: int) -> None:
        self.terminal.extend(steps)

    def flush(self) -> None:
        self.log.flush()


def run_figures(
    task: Task,
    model: keras.Model,
    name: str,
    evaluator: Evaluator,
    progress: TrainingState,
    results: Results,
) -> dict[str, Figure]:
    """The figures of a finished run: what went in and out, the heads, and the curves.

    name: of the model, as titles and legends show it.
    """
    case, batch, probabilities = _shown(task, evaluator)
    inputs, targets, weights, outputs = _first(batch, probabilities)
    scores = task.score(batch, probabilities)
    title = f"{task.name}, {name}, {case}"
    caption = f"{scores['bit_errors'][0]:.0f} of {scores['bits'][0]:.0f} bits wrong"
    made = {"sample": figures.sample_figure(inputs, targets, outputs, weights, title, caption)}
    if model.name == "ntm":
        made["heads"] = _heads(model, inputs, weights, title)
    if isinstance(task, NGrams):
        made["predictions"] = _predictions(task, targets[:, 0], outputs[:, 0], scores, title)
    made["generalisation"] = charts.generalisation_figure(
        {name: {case: [r["bit_errors_per_sequence"]] for case, r in results.items()}},
        "wrong bits a sequence",
        task.name,
        trained=[case for case in results if task.trains_on(case)],
    )
    if progress.history:
        made["learning"] = _learning(name, progress, task)
    return made


def heads_animation(
    task: Task, model: keras.Model, name: str, evaluator: Evaluator, path: Path
) -> None:
    """Writes the heads on the sequence of `run_figures` as a GIF to `path`."""
    from runner.reporting import animation

    case, batch, probabilities = _shown(task, evaluator)
    inputs, _, weights, _ = _first(batch, probabilities)
    trace, boundaries = _trace(model, inputs, weights)
    animation.save(trace, path, f"{task.name}, {name}, {case}", boundaries=boundaries)


def _shown(task: Task, evaluator: Evaluator) -> tuple[str, Batch, Any]:
    """The case that figures show, a batch of it, and the model's probabilities."""
    case = task.solved_case() if task.solved_case() in evaluator.cases else evaluator.cases[0]
    return case, *evaluator.sample(case)


def _first(batch: Batch, probabilities: Any) -> list[np.ndarray]:
    """Inputs, targets, weights and outputs of the first sequence, without its padding."""
    length = int(batch.mask[0].sum())
    return [np.asarray(part)[0, :length] for part in (*batch[:3], probabilities)]


def _heads(model: keras.Model, inputs: Any, weights: Any, title: str) -> Figure:
    """The heads on one sequence, with a line where the scored outputs begin."""
    trace, boundaries = _trace(model, inputs, weights)
    return figures.heads_figure(trace, title, boundaries=boundaries)


def _trace(model: keras.Model, inputs: Any, weights: Any) -> tuple[dict[str, Any], list[int]]:
    """What the machine does on one sequence, and the step at which the scored outputs begin."""
    traced = model.get_layer("ntm").trace(inputs[None])
    outputs = 1 / (1 + np.exp(-traced["outputs"][0]))
    trace = {name: value[0] for name, value in traced.items()}
    trace |= {"inputs": inputs, "outputs": outputs}
    return trace, np.flatnonzero(weights.any(axis=1))[:1].tolist()


def _predictions(
    task: NGrams, bits: Any, outputs: Any, scores: Mapping[str, Any], title: str
) -> Figure:
    """The predictions of the first sequence beside the optimal ones, and what both cost."""
    optimum = optimal_probabilities(bits[None].astype(int), task.context)[0]
    model, best = scores["loss_bits"][0], scores["optimal_bits"][0]
    caption = f"this sequence: model {model:.1f} bits, optimal estimator {best:.1f} bits"
    return figures.predictions_figure(bits, outputs, optimum, title, caption)


def _learning(name: str, progress: TrainingState, task: Task) -> Figure:
    """The evaluations of the deciding case, with the loss of the training behind them."""
    case = task.solved_case()
    curve = charts.evaluation_curve(progress.history, progress.evaluations, case, "loss_bits")
    training = (
        [point["sequences"] for point in progress.history],
        [point["loss_bits"] for point in progress.history],
    )
    evaluated = f"evaluation at {case}"
    return charts.curves_figure(
        {evaluated: [curve]} if curve[0] else {charts.IN_TRAINING: [training]},
        "loss, bits a sequence",
        f"{task.name}, {name}",
        logarithmic=True,
        behind={evaluated: [training]} if curve[0] else {},
        behind_name=charts.IN_TRAINING,
    )
