"""Compare runs over seeds: `python -m runner.compare --help`.

Reads what sweeps left; imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runner.config import startup
from runner.config.arguments import Parser
from runner.config.friendly import friendly
from runner.config.schema import FORMATS, STYLES
from runner.results.study import Seed, Study, read
from runner.results.summary import Score, as_csv, scores, tables, values_of
from runner.store import files

CURVES = {
    "loss": Score("loss_bits", "loss, bits a sequence"),
    "errors": Score("bit_errors", "wrong bits a sequence"),
}
OPTIMUM = Score("optimal_bits", "bits of the optimal estimator")
Curve = tuple[Sequence[float], Sequence[float]]  # sequences seen, values
POINTS = 60  # of a learning curve; each is a mean, since single batches differ in length
EXAMPLES = """examples:
  python -m runner.compare multirun/<sweep>
  python -m runner.compare "NTM, LSTM controller"=multirun/a "LSTM alone"=multirun/b
  python -m runner.compare dense=multirun/a/0 dense=multirun/a/1 --to docs/figures/copy
  python -m runner.compare multirun/<sweep> --csv docs/results/copy_lstm.csv

Standard output is Markdown: the share solved, how soon, each case, each seed, and which runs did
not finish. Figures: learning, generalisation, and one more for each other score."""


def main(arguments: Sequence[str]) -> None:
    """Write the figures of a comparison and print its tables. Raises ConfigError."""
    options = _parse(arguments)
    study = read(options.runs)
    if options.csv:
        files.make(options.csv.parent)
        files.write_text(options.csv, as_csv(study))
        print(options.csv, file=sys.stderr)
    folder = options.to or Path("outputs") / "compare" / study.task.name
    for path in write_figures(study, folder, options.curve, options.format, options.style):
        print(path, file=sys.stderr)
    print(tables(study, options.below))


def write_figures(
    study: Study, folder: Path, curve: str, formats: Sequence[str], style: str
) -> list[Path]:
    """Write the figures of a study and return their paths.

    curve: a key of `CURVES`; formats, style: as in `runner.config.schema.Figures`.
    """
    startup.figures_to_files()
    from runner.reporting import canvas  # matplotlib, only once the arguments are known to be good

    files.make(folder)
    made: dict[str, Any] = {}
    if any(seed.history for seeds in study.seeds.values() for seed in seeds):
        made["learning"] = _learning(study, curve)
    for number, score in enumerate(scores(study)):
        if any(
            values_of(seeds, case, score) for seeds in study.seeds.values() for case in study.cases
        ):
            name = "generalisation" if number == 0 else f"generalisation_{score.name}"
            made[name] = _generalisation(study, score)
    for name, figure in made.items():
        canvas.save(figure, folder / name, formats, style)
    return [folder / f"{name}.{ending}" for name in made for ending in formats]


def _learning(study: Study, curve: str) -> Any:
    """The evaluations of the deciding case, and behind them the training, which has the noise."""
    from runner.reporting import charts

    training = _of_labels(study, lambda seeds: _curves(seeds, curve))
    case = study.task.solved_case()
    evaluated = _of_labels(study, lambda seeds: _evaluated(seeds, case, curve))
    if evaluated.keys() != training.keys():  # Older runs under one of the labels: not mixed.
        evaluated = {}
    shown = evaluated or training
    optimum = _optimum(study) if curve == "loss" else None
    ends = [{sequences[-1] for sequences, _ in curves} for curves in shown.values()]
    early = "a run that ended early keeps its last value"
    point = f"mean over a {POINTS}th of the training"
    return charts.curves_figure(
        shown,
        CURVES[curve].words,
        f"{study.task.name}: learning curves",
        reference={} if optimum is None else {f"optimal estimator, {optimum:.1f}": optimum},
        logarithmic=optimum is None,
        limits=None if optimum is None else (0.98 * optimum, 1.2 * optimum),
        notes=[
            f"training: {point}" if evaluated else f"point: {point}",
            early if any(len(end) > 1 for end in ends) else "",
        ],
        behind=training if evaluated else {},
        behind_name=charts.IN_TRAINING,
        heading=f"evaluation at {case}" if evaluated else "",
    )


def _generalisation(study: Study, score: Score) -> Any:
    from runner.reporting import charts

    results = {
        label: {case: values_of(seeds, case, score) for case in study.cases}
        for label, seeds in study.seeds.items()
    }
    return charts.generalisation_figure(
        results,
        f"{score.words} a sequence",
        f"{study.task.name}: {score.words} by case",
        trained=study.trained,
    )


def _of_labels(study: Study, curves_of: Callable[[list[Seed]], list[Curve]]) -> dict[str, Any]:
    """The curves of each label that has some."""
    found = {label: curves_of(seeds) for label, seeds in study.seeds.items()}
    return {label: curves for label, curves in found.items() if curves}


def _evaluated(seeds: Sequence[Seed], case: str, curve: str) -> list[Curve]:
    from runner.reporting import charts

    name = CURVES[curve].name
    found = [charts.evaluation_curve(s.history, s.evaluations, case, name) for s in seeds]
    return [(sequences, values) for sequences, values in found if sequences]


def _curves(seeds: Sequence[Seed], curve: str) -> list[Curve]:
    """A curve for each seed that got far enough to have one, all at the same points."""
    name = CURVES[curve].name
    longest = max((seed.history[-1]["sequences"] for seed in seeds if seed.history), default=0)
    return [smooth(seed.history, name, longest / POINTS) for seed in seeds if seed.history]


def smooth(
    history: Sequence[dict[str, Any]], name: str, width: float
) -> tuple[list[float], list[float]]:
    """The means of a value in successive windows of `width` sequences, at the windows' ends."""
    windows: dict[int, list[float]] = {}
    for point in history:
        if isinstance(point[name], int | float):  # null where it was not a number
            windows.setdefault(math.ceil(point["sequences"] / width), []).append(point[name])
    return [number * width for number in windows], [float(np.mean(v)) for v in windows.values()]


def _optimum(study: Study) -> float | None:
    """What the optimal estimator needs for a training sequence, if it is measured and not zero."""
    case = study.task.solved_case()
    values = values_of([s for seeds in study.seeds.values() for s in seeds], case, OPTIMUM)
    fixed = all(low == high for task in study.tasks.values() for low, high in task.ranges.values())
    return statistics.fmean(values) if values and fixed else None


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="python -m runner.compare",
        description="Compare runs of one task over their seeds.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="[LABEL=]FOLDER",
        help="a sweep or a run; the same label joins folders, without one a sweep is divided",
    )
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="of the figures (outputs/compare/<task>)"
    )
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="a row a seed, as docs/results has them"
    )
    parser.add_argument(
        "--below", type=float, default=1.0, metavar="BITS", help="count seeds below this (1)"
    )
    parser.add_argument(
        "--curve", choices=CURVES, default="loss", help="what the learning curves show (loss)"
    )
    parser.add_argument(
        "--format",
        type=_formats,
        default=FORMATS[:1],
        metavar="FORMATS",
        help=f"of the figures, one or several of {','.join(FORMATS)} ({FORMATS[0]})",
    )
    parser.add_argument(
        "--style",
        choices=STYLES,
        default=STYLES[0],
        help="paper: as wide as a column, without titles (screen)",
    )
    return parser.parse_args(arguments)


def _formats(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(FORMATS)}")
    return names


if __name__ == "__main__":
    with friendly():
        main(sys.argv[1:])
