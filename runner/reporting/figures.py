"""Figures of one sequence: a sample, the heads at work, predictions beside the optimal ones.

Every function takes plain arrays and returns a matplotlib `Figure`, see `runner.reporting.canvas`.
Images of bits and of weightings are black for 0 and white for 1, as in the paper.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from runner.reporting.canvas import LABEL_SIZE, PALETTE, TICK_SIZE, finish, join, legend, new_figure

NOT_SCORED = "#A9C4DE"
ERROR = "#D55E00"
MOST_VECTORS = 4  # heads of a kind whose add and read vectors are drawn


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
    figure = new_figure(_width_for(len(inputs)), sum(heights) + 2.2)
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
    return finish(figure, title, f"{caption}\n{join(notes)}")


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
    figure = new_figure(min(16.0, 2 * _width_for(len(writes)) - 2.5), sum(heights) + 2.0)
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
    return finish(figure, title, caption)


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
    figure = new_figure(14, 6.5)
    bits, lines, gap = figure.subplots(3, 1, sharex=True, height_ratios=[0.5, 3, 1.2])
    steps = np.arange(len(inputs))
    _image(bits, np.asarray(inputs)[:, None], _bits_colours(), 0.0, 1.0)
    bits.set_yticks([])
    bits.set_ylabel("bit", fontsize=LABEL_SIZE)
    lines.step(steps, optimum, where="mid", color="#000000", linewidth=1.8, label="optimum")
    lines.step(steps, predictions, where="mid", color=PALETTE[1], linewidth=1.4, label="model")
    lines.set_ylim(-0.03, 1.03)
    lines.set_ylabel("probability of a 1", fontsize=LABEL_SIZE)
    legend(lines)
    gap.bar(steps, np.asarray(predictions) - optimum, width=1.0, color=PALETTE[1])
    gap.axhline(0, color="#000000", linewidth=0.8)
    gap.set_ylabel("difference", fontsize=LABEL_SIZE)
    gap.set_xlabel("time step", fontsize=LABEL_SIZE)
    for axis in (lines, gap):
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=TICK_SIZE)
    return finish(figure, title, caption)


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
        row_ticks(axis, rows)
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


def row_ticks(axis: Axes, rows: np.ndarray) -> None:
    """Labels round row numbers, also where the window runs around the end of the memory."""
    steps = [digit * 10**power for power in range(6) for digit in (1, 2, 5)]
    step = next(step for step in steps if len(rows) / step <= 7)
    places = np.flatnonzero(rows % step == 0)
    first = places[rows[places] == 0]
    if len(first):  # Row 0 is named, and so none right beside it.
        places = places[(places == first) | (abs(places - first) > step / 2)]
    axis.set_yticks(places, [str(row) for row in rows[places]])


def _rows_caption(rows: np.ndarray, slots: int) -> str:
    runs = np.split(rows, np.flatnonzero(np.diff(rows) < 0) + 1)
    names = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    return f"memory rows {' and '.join(names)} shown, of {slots}"
