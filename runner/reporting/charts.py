"""Charts over runs: learning curves and generalisation, a marker and a colour for each label.

Every function takes plain numbers and returns a matplotlib `Figure`, see `runner.reporting.canvas`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from runner.reporting.canvas import LABEL_SIZE, PALETTE, TICK_SIZE, finish, join, legend, new_figure

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINEAR_BELOW = 0.1  # logarithmic axes of errors, which are often exactly zero
FEWEST_IN_BAND = 4  # curves whose middle half says more than the curves themselves
# What the loss of a training is of, beside an evaluation's.
IN_TRAINING = "training, with sizes and noise as they are drawn"

Curve = tuple[Sequence[float], Sequence[float]]  # (sequences seen, value)


def curves_figure(
    histories: Mapping[str, Sequence[Curve]],
    ylabel: str,
    title: str,
    reference: Mapping[str, float] | None = None,
    logarithmic: bool = False,
    limits: tuple[float, float] | None = None,
    notes: Sequence[str] = (),
    behind: Mapping[str, Sequence[Curve]] | None = None,
    behind_name: str = "",
    heading: str = "",
) -> Figure:
    """Learning curves: a thin line a seed, their median as a thick one.

    From four seeds up, a band is their middle half. A run that ended early, because it was solved
    or it failed, keeps its last value, so that the median is always over all seeds.

    Args:
        histories: for each label one curve a seed: sequences seen and the value there.
        ylabel: what the value is, with its unit.
        title: the task.
        reference: values to compare with, as dashed lines under their names.
        logarithmic: draw the value on a logarithmic axis, linear near zero.
        limits: the lowest and the highest value to show, for curves that come from far above.
        notes: what else to say in the caption, such as what a point is.
        behind: other curves of these labels, whose median is drawn faintly behind everything.
        behind_name: what these are, for the legend.
        heading: of the legend: what the curves are of.
    """
    figure = new_figure(10, 6)
    axis = figure.subplots()
    several = any(len(curves) > 1 for curves in histories.values())
    for index, (label, curves) in enumerate(histories.items()):
        grid, values = _on_one_grid(curves)
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        every = max(1, len(grid) // 12)
        if len(values) >= FEWEST_IN_BAND:
            low, high = np.quantile(values, (0.25, 0.75), axis=0)
            axis.fill_between(grid, low, high, color=colour, alpha=0.2, linewidth=0)
        if len(values) > 1:
            axis.plot(grid, values.T, color=colour, alpha=0.4, linewidth=0.8)
        seeds = f" ({len(curves)} seed{'s' * (len(curves) != 1)})" if several else ""
        axis.plot(
            grid,
            np.median(values, axis=0),
            color=colour,
            marker=marker,
            markevery=every,
            linewidth=2.2,
            label=f"{label}{seeds}",
        )
    _behind(axis, [(behind or {}).get(label, ()) for label in histories], behind_name)
    _references(axis, reference or {})
    _value_axis(axis, ylabel, logarithmic)
    if limits:
        axis.set_ylim(*limits)
    axis.set_xlabel("sequences seen, thousands", fontsize=LABEL_SIZE)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g}"))
    legend(axis, above=several or bool(behind), title=heading)
    banded = any(len(curves) >= FEWEST_IN_BAND for curves in histories.values())
    said = [
        "thick line: median over seeds" if several else "",
        "band: middle half" if banded else "",
        *notes,
        "higher values are left out" if limits else "",
        _scale_note(logarithmic),
    ]
    return finish(figure, title, join(said, 88))


def generalisation_figure(
    results: Mapping[str, Mapping[str, Sequence[float]]],
    ylabel: str,
    title: str,
    trained: Sequence[str] = (),
) -> Figure:
    """A value by case: a point a seed, side by side and in order, a line through the medians.

    Args:
        results: for each label, for each case, one value a seed.
        ylabel: what the value is, with its unit.
        title: the task.
        trained: the cases inside the training range, drawn on a shaded ground.
    """
    cases = list(dict.fromkeys(case for by_case in results.values() for case in by_case))
    width = max(8.0, (0.9 + 0.4 * len(results)) * len(cases) + 2)
    figure = new_figure(min(width, 16.0), 6)
    axis = figure.subplots()
    slot = min(0.8 / max(1, len(results)), 0.6)
    for index, (label, by_case) in enumerate(results.items()):
        offset = slot * (index - (len(results) - 1) / 2)
        values = [by_case.get(case, ()) for case in cases]
        _case_points(axis, index, label, offset, 0.7 * slot, values)
    for position, case in enumerate(cases):
        if case in trained:
            axis.axvspan(position - 0.5, position + 0.5, color="#E8E8E8", zorder=0, linewidth=0)
    axis.set_xticks(range(len(cases)), [case.replace(",", "\n") for case in cases])
    axis.set_xlim(-0.5, len(cases) - 0.5)
    _value_axis(axis, ylabel, logarithmic=True)
    legend(axis, above=len(results) > 1)
    several = any(len(seeds) > 1 for by_case in results.values() for seeds in by_case.values())
    notes = [
        "point: one seed; line: median" if several else "",
        "shaded: inside the training range" if trained else "",
        _scale_note(True),
    ]
    return finish(figure, title, join(notes, 70))


def evaluation_curve(
    training: Sequence[Mapping[str, Any]],
    evaluations: Sequence[Mapping[str, Any]],
    case: str,
    score: str,
) -> Curve:
    """The curve of a score over the scheduled evaluations of a run, which have no noise.

    Args:
        training: points of its training curve, for the sequences of a step.
        evaluations: as `history.json` has them: a step and its `results` by case.
        case: one of the cases evaluated.
        score: such as `loss_bits`, a sequence.

    Returns:
        Sequences seen and values; empty without evaluations of the case.
    """
    if not training:
        return [], []
    batch = training[-1]["sequences"] / training[-1]["step"]
    found = [(e["step"] * batch, e["results"].get(case, {})) for e in evaluations]
    name = f"{score}_per_sequence"
    points = [(seen, of_case[name]) for seen, of_case in found if of_case.get(name) is not None]
    return [seen for seen, _ in points], [value for _, value in points]


def _behind(axis: Axes, groups: Sequence[Sequence[Curve]], name: str) -> None:
    """The median of each group, faint, and one grey entry in the legend for all of them.

    Dashed where there are faint lines of seeds, too.
    """
    line = "--" if any(len(curves) > 1 for curves in groups) else "-"
    for index, curves in enumerate(groups):
        if curves:
            grid, values = _on_one_grid(curves)
            median, colour = np.median(values, axis=0), PALETTE[index % len(PALETTE)]
            axis.plot(grid, median, line, color=colour, alpha=0.35, linewidth=1.0, zorder=1)
    if any(groups):
        axis.plot([], [], line, color="#808080", alpha=0.6, linewidth=1.0, label=name)


def _on_one_grid(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """All curves at the union of their points: (points,), (seeds, points)."""
    grid = np.unique(np.concatenate([np.asarray(sequences) for sequences, _ in curves]))
    return grid, np.array([np.interp(grid, sequences, values) for sequences, values in curves])


def _references(axis: Axes, reference: Mapping[str, float]) -> None:
    for index, (name, value) in enumerate(reference.items()):
        style = ("--", ":", "-.")[index % 3]
        axis.axhline(value, color="#555555", linestyle=style, linewidth=1.6, label=name)


def _value_axis(axis: Axes, ylabel: str, logarithmic: bool) -> None:
    axis.set_ylabel(ylabel, fontsize=LABEL_SIZE)
    axis.tick_params(labelsize=TICK_SIZE)
    axis.grid(alpha=0.3)
    if logarithmic:
        axis.set_yscale("symlog", linthresh=LINEAR_BELOW, linscale=0.5)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    highest = axis.get_ylim()[1]
    # Up to one at least, so that a bit in hundreds of sequences does not look like much.
    axis.set_ylim((-0.01, max(1.5, 2 * highest)) if logarithmic else (-0.02 * highest, highest))


def _scale_note(logarithmic: bool) -> str:
    return f"vertical axis: linear below {LINEAR_BELOW:g}" if logarithmic else ""


def _case_points(
    axis: Axes,
    index: int,
    label: str,
    offset: float,
    width: float,
    values: Sequence[Sequence[float]],
) -> None:
    """The seeds of each case over `width`, so that equal values lie beside each other."""
    colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
    places = [place for place, seeds in enumerate(values) if len(seeds)]
    for place in places:
        seeds = values[place]
        spread = width * (np.arange(len(seeds)) + 0.5) / len(seeds) - width / 2
        axis.plot(
            place + offset + spread, seeds, marker, color=colour, alpha=0.7, markersize=7,
            markeredgecolor="white", markeredgewidth=0.5, zorder=3,
        )  # fmt: skip
    medians = [float(np.median(values[place])) for place in places]
    centres = np.add(places, offset)
    if any(len(seeds) > 1 for seeds in values):
        axis.hlines(medians, centres - width / 2, centres + width / 2, color=colour, linewidth=3)
    axis.plot(centres, medians, color=colour, marker=marker, linewidth=1.8, label=label)
