"""Everything a run shows: the terminal, TensorBoard and the figures of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from runner.reporting import charts, figures
from runner.reporting.progress import Progress as Terminal
from runner.reporting.tensorboard import TensorBoardLog
from runner.training.evaluate import Evaluator
from runner.training.train import Progress
from tasks import NGrams, Task, optimal_probabilities

Results = Mapping[str, Mapping[str, float]]


class Reporter:
    """Tells the terminal and TensorBoard how a training goes; a `runner.training.train.Watcher`."""

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
    progress: Progress,
    results: Results,
) -> dict[str, Figure]:
    """The figures of a finished run: what went in and out, the heads, and the curves.

    name: of the model, as titles and legends show it.
    """
    case = task.solved_case() if task.solved_case() in evaluator.cases else evaluator.cases[0]
    batch, probabilities = evaluator.sample(case)
    length = int(batch.mask[0].sum())
    first = [np.asarray(part)[0, :length] for part in (*batch[:3], probabilities)]
    inputs, targets, weights, outputs = first
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


def _heads(model: keras.Model, inputs: Any, weights: Any, title: str) -> Figure:
    """The heads on one sequence, with a line where the scored outputs begin."""
    trace = model.get_layer("ntm").trace(inputs[None])
    logits = trace["outputs"][0]
    shown = {name: value[0] for name, value in trace.items() if name not in ("outputs", "memory")}
    shown |= {"inputs": inputs, "outputs": 1 / (1 + np.exp(-logits))}
    scored = np.flatnonzero(weights.any(axis=1))
    return figures.heads_figure(shown, title, boundaries=scored[:1].tolist())


def _predictions(
    task: NGrams, bits: Any, outputs: Any, scores: Mapping[str, Any], title: str
) -> Figure:
    """The predictions of the first sequence beside the optimal ones, and what both cost."""
    optimum = optimal_probabilities(bits[None].astype(int), task.context)[0]
    model, best = scores["loss_bits"][0], scores["optimal_bits"][0]
    caption = f"this sequence: model {model:.1f} bits, optimal estimator {best:.1f} bits"
    return figures.predictions_figure(bits, outputs, optimum, title, caption)


def _learning(name: str, progress: Progress, task: Task) -> Figure:
    curve = (
        [point["sequences"] for point in progress.history],
        [point["loss_bits"] for point in progress.history],
    )
    return charts.curves_figure(
        {name: [curve]}, "loss, bits a sequence", task.name, logarithmic=True
    )
