"""Figures of a run: a sample, the heads at work, learning curves, generalisation, predictions.

Every function takes plain arrays and returns a matplotlib `Figure` of its own, with no pyplot and
no global state: nothing stays in memory when the caller drops it. Images of bits and of weightings
are black for 0 and white for 1, as in the paper; lines use the palette of Okabe and Ito, whose
colours stay apart for the colour-blind, each with a marker of its own.
"""

import io
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator

from runner.files import replace_with

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
NOT_SCORED = "#A9C4DE"
ERROR = "#D55E00"
TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 16, 13, 11
DPI = 100
MOST_VECTORS = 4  # heads of a kind whose add and read vectors are drawn
LINEAR_BELOW = 0.1  # logarithmic axes of errors, which are often exactly zero

Curve = tuple[Sequence[float], Sequence[float]]  # (sequences seen, value)


def sample_figure(
    inputs: np.ndarray,
    targets: np.ndarray,
    outputs: np.ndarray,
    weights: np.ndarray,
    title: str,
    caption: str,
) -> Figure:
    """One sequence over time: input, target, output, and how far the output is off.

    Args:
        inputs: (T, input_dim).
        targets: (T, output_dim), bits.
        outputs: (T, output_dim), probabilities.
        weights: (T, output_dim), 1 where a target bit counts; the rest is drawn in blue.
        title: the task, the model, the case.
        caption: a line under the panels, such as the bit errors.
    """
    scored = weights > 0
    wrong = np.abs(outputs - targets)
    panels = [
        ("input", np.asarray(inputs), _bits_colours()),
        ("target", np.ma.masked_array(targets, ~scored), _bits_colours()),
        ("output", np.ma.masked_array(outputs, ~scored), _bits_colours()),
        ("error", np.ma.masked_array(wrong, ~scored), _error_colours()),
    ]
    heights = [_panel_height(image.shape[1]) for _, image, _ in panels]
    figure = _figure(_width_for(len(inputs)), sum(heights) + 2.2)
    axes = figure.subplots(4, 1, sharex=True, height_ratios=heights)
    for axis, (name, image, colours) in zip(axes, panels, strict=True):
        drawn = _image(axis, image, colours, *_range(image))
        _integer_ticks(axis, image.shape[1])
        axis.set_ylabel(name, fontsize=LABEL_SIZE)
        bar = figure.colorbar(drawn, ax=axis, pad=0.01, fraction=0.04, aspect=8)
        bar.ax.yaxis.set_major_locator(MaxNLocator(nbins=2))
        bar.ax.tick_params(labelsize=TICK_SIZE)
    axes[-1].set_xlabel("time step", fontsize=LABEL_SIZE)
    notes = ["vertical: channel", "" if scored.all() else "blue: not scored"]
    return _finish(figure, title, f"{caption}\n{_join(notes)}")


def heads_figure(
    trace: Mapping[str, np.ndarray],
    title: str,
    threshold: float = 0.1,
    boundaries: Sequence[int] = (),
) -> Figure:
    """Where every head wrote and read over time: the paper's figures 6, 9, 12 and 16.

    Writing is on the left under the inputs, reading on the right under the outputs, one row of
    panels a head. All weightings show the same memory rows, see `row_window`. The add and read
    vectors are drawn above them when given, for up to four heads of a kind; with more they would
    leave no room for the weightings.

    Args:
        trace: `inputs` (T, input_dim), `outputs` (T, output_dim), `write_weights` (T, W, N),
            `read_weights` (T, R, N), and if wanted `adds` (T, W, M), `reads` (T, R, M).
        title: the task, the model, the case.
        threshold: the weight from which a memory row counts as used.
        boundaries: time steps at which a phase of the task begins, marked by a line.
    """
    writes, reads = trace["write_weights"], trace["read_weights"]
    rows = row_window((writes, reads), threshold)
    left, right = [("inputs", trace["inputs"])], [("outputs", trace["outputs"])]
    heads = max(writes.shape[1], reads.shape[1])
    if heads <= MOST_VECTORS and {"adds", "reads"} <= trace.keys():
        left += _vectors("adds", trace["adds"])
        right += _vectors("reads", trace["reads"])
    above = max(len(left), len(right))
    heights = _vector_heights(left, right, heads)
    heights += [_weighting_height(len(rows), heads)] * heads
    figure = _figure(min(16.0, 2 * _width_for(len(writes)) - 2.5), sum(heights) + 2.0)
    grid = figure.subplots(len(heights), 2, sharex=True, height_ratios=heights, squeeze=False)
    _vector_panels(grid[:above, 0], left)
    _vector_panels(grid[:above, 1], right)
    peak = max(threshold, float(writes.max()), float(reads.max()))
    drawn = _weighting_panels(grid[above:, 0], writes, rows, "write", threshold, peak)
    _weighting_panels(grid[above:, 1], reads, rows, "read", threshold, peak)
    for axis in grid.flat:
        for step in boundaries:
            axis.axvline(step - 0.5, color=PALETTE[5], linewidth=1.2, linestyle="--")
    bar = figure.colorbar(drawn, ax=grid[above:, :], pad=0.01, fraction=0.02, aspect=30)
    bar.set_label("weight", fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    caption = _rows_caption(rows, writes.shape[2])
    if above > 1:
        caption += "; adds and reads: black lowest, white highest"
    return _finish(figure, title, caption)


def row_window(weightings: Sequence[np.ndarray], threshold: float) -> np.ndarray:
    """The shortest run of memory rows, around the end if need be, that holds all used rows.

    A row is used when any head of any weighting (T, heads, N) gives it at least `threshold` at
    some step. One unused row is kept at each side, and at least eight rows in all.

    Returns:
        the row numbers in the order to draw them, (rows,).
    """
    peak = np.max([weights.max(axis=(0, 1)) for weights in weightings], axis=0)
    slots = len(peak)
    used = np.flatnonzero(peak >= threshold)
    if len(used) == 0:
        return np.arange(slots)
    gaps = np.diff(used, append=used[0] + slots)  # from each used row to the next one
    widest = int(np.argmax(gaps))
    first = int(used[(widest + 1) % len(used)])
    count = slots - int(gaps[widest]) + 1
    shown = min(slots, max(count + 2, 8))
    start = 0 if shown == slots else first - 1
    return (start + np.arange(shown)) % slots


def curves_figure(
    histories: Mapping[str, Sequence[Curve]],
    ylabel: str,
    title: str,
    reference: Mapping[str, float] | None = None,
    logarithmic: bool = False,
    limits: tuple[float, float] | None = None,
    notes: Sequence[str] = (),
) -> Figure:
    """Learning curves: a thin line a seed, their median as a thick one, the middle half as a band.

    A run that ended early, because it was solved or it failed, keeps its last value, so that the
    median is always over all seeds.

    Args:
        histories: for each label one curve a seed: sequences seen and the value there.
        ylabel: what the value is, with its unit.
        title: the task.
        reference: values to compare with, as dashed lines under their names.
        logarithmic: draw the value on a logarithmic axis, linear near zero.
        limits: the lowest and the highest value to show, for curves that come from far above.
        notes: what else to say in the caption, such as what a point is.
    """
    figure = _figure(10, 6)
    axis = figure.subplots()
    for index, (label, curves) in enumerate(histories.items()):
        grid, values = _on_one_grid(curves)
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        seeds = f"{len(curves)} seed" + "s" * (len(curves) != 1)
        every = max(1, len(grid) // 12)
        if len(values) > 1:
            low, high = np.quantile(values, (0.25, 0.75), axis=0)
            axis.fill_between(grid, low, high, color=colour, alpha=0.2, linewidth=0)
            axis.plot(grid, values.T, color=colour, alpha=0.4, linewidth=0.8)
        axis.plot(
            grid,
            np.median(values, axis=0),
            color=colour,
            marker=marker,
            markevery=every,
            linewidth=2.2,
            label=f"{label} ({seeds})",
        )
    _references(axis, reference or {})
    _value_axis(axis, ylabel, logarithmic)
    if limits:
        axis.set_ylim(*limits)
    axis.set_xlabel("sequences seen, thousands", fontsize=LABEL_SIZE)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g}"))
    several = any(len(curves) > 1 for curves in histories.values())
    _legend(axis, above=several)
    said = [
        "thick line: median over seeds; band: middle half" if several else "",
        *notes,
        "higher values are left out" if limits else "",
        _scale_note(logarithmic),
    ]
    return _finish(figure, title, _join(said, 88))


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
    figure = _figure(min(width, 16.0), 6)
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
    _legend(axis, above=len(results) > 1)
    several = any(len(seeds) > 1 for by_case in results.values() for seeds in by_case.values())
    notes = [
        "point: one seed; line: median" if several else "",
        "shaded: inside the training range" if trained else "",
        _scale_note(True),
    ]
    return _finish(figure, title, _join(notes, 70))


def predictions_figure(
    inputs: np.ndarray, predictions: np.ndarray, optimum: np.ndarray, title: str, caption: str
) -> Figure:
    """The bits of one sequence, the predicted probabilities of a 1, and the optimal ones.

    Args:
        inputs: (T,) bits.
        predictions: (T,) the model's probability that the bit at this step is a 1.
        optimum: (T,) the optimal estimator's, given the same bits before it.
        title: the task and the model.
        caption: a line under the panels, such as bits a sequence of both.
    """
    figure = _figure(14, 6.5)
    bits, lines, gap = figure.subplots(3, 1, sharex=True, height_ratios=[0.5, 3, 1.2])
    steps = np.arange(len(inputs))
    _image(bits, np.asarray(inputs)[:, None], _bits_colours(), 0.0, 1.0)
    bits.set_yticks([])
    bits.set_ylabel("bit", fontsize=LABEL_SIZE)
    lines.step(steps, optimum, where="mid", color="#000000", linewidth=1.8, label="optimum")
    lines.step(steps, predictions, where="mid", color=PALETTE[1], linewidth=1.4, label="model")
    lines.set_ylim(-0.03, 1.03)
    lines.set_ylabel("probability of a 1", fontsize=LABEL_SIZE)
    _legend(lines)
    gap.bar(steps, np.asarray(predictions) - optimum, width=1.0, color=PALETTE[1])
    gap.axhline(0, color="#000000", linewidth=0.8)
    gap.set_ylabel("difference", fontsize=LABEL_SIZE)
    gap.set_xlabel("time step", fontsize=LABEL_SIZE)
    for axis in (lines, gap):
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=TICK_SIZE)
    return _finish(figure, title, caption)


def to_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file.

    The first call lays the figure out, once and for all: later ones give the same picture, faster.
    """
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # `savefig` would draw everything twice
    figure.set_layout_engine("none")
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Writes the figure as a PNG file, whole or not at all; its folder is made if missing."""
    with replace_with(path) as temporary:
        temporary.write_bytes(to_png(figure))


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _finish(figure: Figure, title: str, caption: str) -> Figure:
    figure.suptitle(title, fontsize=TITLE_SIZE)
    figure.supxlabel(caption, fontsize=LABEL_SIZE, color="#333333")
    return figure


def _width_for(steps: int) -> float:
    return float(np.clip(3.0 + 0.18 * steps, 7.0, 16.0))


def _panel_height(channels: int) -> float:
    return float(np.clip(0.16 * channels, 0.7, 2.4))


def _weighting_height(rows: int, heads: int) -> float:
    most = 5.0 if heads == 1 else max(1.4, min(2.6, 12.0 / heads))
    return float(np.clip(0.1 * rows, 1.4, most))


def _bits_colours() -> Colormap:
    return colormaps["gray"].with_extremes(bad=NOT_SCORED)


def _error_colours() -> Colormap:
    colours = LinearSegmentedColormap.from_list("error", ["#FFFFFF", ERROR, "#5A1E00"])
    return colours.with_extremes(bad=NOT_SCORED)


def _range(image: np.ndarray) -> tuple[float, float]:
    """The grey scale for bits, wider where an input has other values."""
    return min(0.0, float(image.min())), max(1.0, float(image.max()))


def _image(axis: Axes, image: np.ndarray, colours: Colormap, low: float, high: float) -> AxesImage:
    """Draws (T, channels) with time to the right and channel 0 at the bottom."""
    axis.tick_params(labelsize=TICK_SIZE)
    return axis.imshow(
        image.T,
        aspect="auto",
        origin="lower",
        cmap=colours,
        vmin=low,
        vmax=high,
        # Sharp cells, but where a cell is smaller than a pixel a thin line must not be skipped.
        interpolation="nearest" if max(image.shape) <= 400 else "auto",
    )


def _integer_ticks(axis: Axes, channels: int) -> None:
    axis.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axis.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    if channels == 1:
        axis.set_yticks([])


def _vectors(name: str, vectors: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """A named panel for each head of (T, heads, M)."""
    heads = vectors.shape[1]
    return [(f"{name} {h + 1}" if heads > 1 else name, vectors[:, h]) for h in range(heads)]


def _vector_heights(
    left: Sequence[tuple[str, np.ndarray]], right: Sequence[tuple[str, np.ndarray]], heads: int
) -> list[float]:
    """The height of each pair of panels; add and read vectors of several heads are kept low."""
    none = ("", np.empty((0, 0)))
    pairs = list(zip_longest(left, right, fillvalue=none))
    heights = [_panel_height(max(one.shape[1], other.shape[1])) for (_, one), (_, other) in pairs]
    return heights if heads == 1 else [heights[0], *(min(1.2, height) for height in heights[1:])]


def _vector_panels(axes: np.ndarray, panels: Sequence[tuple[str, np.ndarray]]) -> None:
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, (name, image) in zip(axes, panels, strict=False):
        vectors = name.startswith(("adds", "reads"))
        limits = (float(image.min()), float(image.max())) if vectors else _range(image)
        _image(axis, image, _bits_colours(), *limits)
        _integer_ticks(axis, image.shape[1])
        axis.set_ylabel(name, fontsize=LABEL_SIZE)


def _weighting_panels(
    axes: np.ndarray,
    weights: np.ndarray,
    rows: np.ndarray,
    kind: str,
    threshold: float,
    peak: float,
) -> AxesImage:
    heads = weights.shape[1]
    for axis in axes[heads:]:
        axis.set_axis_off()
    for head, axis in enumerate(axes[:heads]):
        drawn = _image(axis, weights[:, head][:, rows], _bits_colours(), 0.0, peak)
        _row_ticks(axis, rows)
        name = f"{kind} head" if heads == 1 else f"{kind} head {head + 1}"
        axis.set_ylabel(f"{name}\nmemory row", fontsize=LABEL_SIZE)
        if weights[:, head].max() < threshold:
            note = f"spread out: no weight reaches {threshold:g}"
            axis.text(
                0.5,
                0.5,
                note,
                color="white",
                fontsize=LABEL_SIZE,
                transform=axis.transAxes,
                ha="center",
                va="center",
            )
    axes[heads - 1].set_xlabel("time step", fontsize=LABEL_SIZE)
    axes[heads - 1].tick_params(labelbottom=True)
    return drawn


def _row_ticks(axis: Axes, rows: np.ndarray) -> None:
    """Labels round row numbers, also where the window runs around the end of the memory."""
    steps = [digit * 10**power for power in range(6) for digit in (1, 2, 5)]
    step = next(step for step in steps if len(rows) / step <= 7)
    places = np.flatnonzero(rows % step == 0)
    axis.set_yticks(places, [str(row) for row in rows[places]])


def _rows_caption(rows: np.ndarray, slots: int) -> str:
    runs = np.split(rows, np.flatnonzero(np.diff(rows) < 0) + 1)
    names = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    return f"memory rows {' and '.join(names)} shown, of {slots}"


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
    axis.set_ylim((-0.01, 2 * highest) if logarithmic else (-0.02 * highest, highest))


def _scale_note(logarithmic: bool) -> str:
    return f"vertical axis: linear below {LINEAR_BELOW:g}" if logarithmic else ""


def _join(notes: Sequence[str], width: int = 1000) -> str:
    """The notes on as few lines of about `width` characters as they fit on."""
    lines: list[str] = []
    for note in filter(None, notes):
        if lines and len(lines[-1]) + len(note) < width:
            lines[-1] += f"; {note}"
        else:
            lines.append(note)
    return "\n".join(lines)


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


def _legend(axis: Axes, above: bool = False) -> None:
    """A legend where it hides least, or above everything where there is too much to hide."""
    if above:
        labels = axis.get_legend_handles_labels()[1]
        columns = max(1, min(len(labels), 90 // (max(map(len, labels)) + 6)))
        axis.legend(
            fontsize=LABEL_SIZE - 1,
            frameon=False,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=columns,
        )
    else:
        axis.legend(fontsize=LABEL_SIZE - 1, framealpha=0.9)
