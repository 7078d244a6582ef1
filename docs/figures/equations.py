"""Draws equations 2 to 9, computed by the functions of `ntm`, on a memory of twelve rows.

`python -m docs.figures.equations` writes `addressing.png` and `writing.png`.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ntm import addressing, memory
from runner.reporting import canvas

HERE = Path(__file__).parent
ROWS, COLUMNS = 12, 6
SHIFTS = {"all moves": (0, 0, 1.0), "0.1 stays": (0, 0.1, 0.9), "0.4 stays": (0, 0.4, 0.6)}


def main() -> None:
    """Draw and save both figures."""
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 2, (ROWS, COLUMNS)).astype(np.float32)
    _addressing(rows)
    _writing(rows)


def _addressing(rows: np.ndarray) -> None:
    """One panel an equation; each goes on from the marked line of the panel before."""
    figure = canvas.new_figure(14, 4.6)
    axes = figure.subplots(1, 4, sharey=True)
    key = rows[3] + np.array([-0.2, 0.2, 0, 0, 0, 0], np.float32)  # almost what row 3 holds
    before = np.eye(ROWS)[8]
    by_content = {f"strength {s:g}": _content(rows, key, s) for s in (1.0, 5.0, 20.0)}
    content = by_content["strength 20"]
    gated = {f"gate {g:g}": _one(addressing.interpolate, content, before, g) for g in (0, 0.5, 1)}
    shifted = {name: _shift(gated["gate 1"], s) for name, s in SHIFTS.items()}
    blurred = shifted["0.4 stays"]
    sharp = {f"sharpness {s:g}": _one(addressing.sharpen, blurred, s) for s in (1, 2, 10)}
    _bars(axes[0], by_content, "eqs 5, 6: content", "the key is almost row 3")
    _bars(axes[1], gated, "eq 7: gate", "the head was on row 8")
    _bars(axes[2], shifted, "eq 8: shift", "after a gate of 1")
    _bars(axes[3], sharp, "eq 9: sharpness", "after 0.4 stayed")
    axes[0].set_ylabel("weight", fontsize=canvas.LABEL_SIZE)
    canvas.finish(figure, "How a head chooses its rows", "memory row")
    canvas.save(figure, HERE / "addressing")


def _content(rows: np.ndarray, key: np.ndarray, strength: float) -> np.ndarray:
    weighting = addressing.content_weighting(
        rows[None], key[None, None], np.full((1, 1, 1), strength, np.float32)
    )
    return np.asarray(weighting)[0, 0]


def _shift(weights: np.ndarray, shift_weights: tuple[float, ...]) -> np.ndarray:
    given = (np.asarray(values, np.float32)[None, None] for values in (weights, shift_weights))
    return np.asarray(addressing.shift(*given))[0, 0]


def _one(function, *values) -> np.ndarray:  # type: ignore[no-untyped-def]
    """A function of weightings (1, 1, N) and a number (1, 1, 1)."""
    given = [np.atleast_1d(np.asarray(value, np.float32))[None, None] for value in values]
    return np.asarray(function(*given))[0, 0]


def _bars(axis: Axes, weightings: dict[str, np.ndarray], title: str, note: str) -> None:
    width = 0.8 / len(weightings)
    for number, (name, weights) in enumerate(weightings.items()):
        place = np.arange(ROWS) + width * (number - (len(weightings) - 1) / 2)
        axis.bar(place, weights, width, color=canvas.PALETTE[number], label=name)
    axis.set_title(f"{title}\n", fontsize=canvas.LABEL_SIZE)
    axis.text(0.5, 1.02, note, transform=axis.transAxes, ha="center", fontsize=canvas.TICK_SIZE)
    axis.set_ylim(0, 1.5)  # The legend lies above the bars.
    axis.set_yticks(np.arange(0, 1.1, 0.2))
    axis.set_xticks(range(0, ROWS, 2))
    axis.tick_params(labelsize=canvas.TICK_SIZE)
    axis.legend(fontsize=canvas.TICK_SIZE, loc="upper right")


def _writing(rows: np.ndarray) -> None:
    """Memory before, after erasing, after adding too; and what is read then."""
    weights = np.asarray([0.0, 0, 0, 0, 0.25, 0.5, 0.25, 0, 0, 0, 0, 0], np.float32)[None, None]
    erase = np.asarray([1, 1, 1, 0, 0, 0], np.float32)[None, None]
    add = np.asarray([0, 1, 0, 0, 0.5, 0], np.float32)[None, None]
    panels = {
        "before": rows,
        "eq 3: erase": np.asarray(memory.write(rows[None], weights, erase, 0 * add))[0],
        "eq 4: then add": np.asarray(memory.write(rows[None], weights, erase, add))[0],
    }
    read = np.asarray(memory.read(panels["eq 4: then add"][None], np.eye(ROWS)[None, None, 5]))[0]
    figure = canvas.new_figure(11, 4.6)
    axes = figure.subplots(1, 6, width_ratios=[1.3, 5, 5, 5, 0.6, 1.8])
    _cells(axes[0], weights[0].T, "weights", 1.0)
    for axis, (name, values) in zip(axes[1:4], panels.items(), strict=True):
        _cells(axis, values, name, 1.5)
    axes[4].set_axis_off()
    _cells(axes[5], read.T, "eq 2:\nreading\nrow 5", 1.5)
    axes[0].set_ylabel("memory row", fontsize=canvas.LABEL_SIZE)
    caption = "erase = 1 1 1 0 0 0, add = 0 1 0 0 0.5 0; black 0, white 1 and more"
    canvas.save(canvas.finish(figure, "How a head writes and reads", caption), HERE / "writing")


def _cells(axis: Axes, values: np.ndarray, title: str, high: float) -> None:
    axis.imshow(values, cmap="gray", vmin=0, vmax=min(high, 1.0), aspect="auto", origin="lower")
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value < 0.4 else "black"
        axis.text(column, row, f"{value:g}", ha="center", va="center", color=colour, fontsize=9)
    axis.set_title(title, fontsize=canvas.LABEL_SIZE)
    axis.set_xticks([])
    axis.set_yticks(range(0, len(values), 2) if len(values) == ROWS else [])
    axis.tick_params(labelsize=canvas.TICK_SIZE)


if __name__ == "__main__":
    main()
