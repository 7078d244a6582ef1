"""Draws the machine in one picture: `python -m docs.figures.machine` writes `machine.svg`."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from runner.reporting import canvas

HERE = Path(__file__).parent
BLUE, ORANGE, GREEN = canvas.PALETTE[:3]
TEXT, SMALL = 13, 11
Point = tuple[float, float]


def main() -> None:
    """Draw and save."""
    figure = canvas.new_figure(10, 5.6)
    axis = figure.subplots()
    axis.set_xlim(0, 10)
    axis.set_ylim(0, 5.6)
    axis.set_axis_off()
    note = "a network,\nsuch as an LSTM"
    _box(axis, (2.3, 1.2), (1.9, 3.2), "controller", note, "#000000")
    _box(axis, (5.5, 3.3), (1.5, 1.1), "write head", "where: eqs 5-9", ORANGE)
    _box(axis, (5.5, 1.2), (1.5, 1.1), "read head", "where: eqs 5-9", BLUE)
    _memory(axis, (8.2, 1.0), (1.4, 3.4))
    _arrow(axis, (0.9, 3.6), (2.3, 3.6), "input x", "#000000")
    _arrow(axis, (2.3, 1.9), (0.9, 1.9), "output", "#000000")
    _arrow(
        axis, (4.2, 3.9), (5.5, 3.9), "key, strength,\ngate, shift,\nsharpness,\nerase, add", ORANGE
    )
    _arrow(axis, (4.2, 1.9), (5.5, 1.9), "the first five", BLUE)
    _arrow(axis, (7.0, 3.9), (8.2, 3.9), "erases, adds\neqs 3, 4", ORANGE)
    _arrow(axis, (8.2, 1.8), (7.0, 1.8), "read vector\neq 2", BLUE)
    _route(axis, [(6.0, 1.2), (6.0, 0.75), (3.25, 0.75), (3.25, 1.17)], BLUE)
    axis.text(4.6, 0.8, "at the next step", size=SMALL, color=BLUE, ha="center", va="bottom")
    _route(axis, [(6.5, 1.2), (6.5, 0.25), (1.3, 0.25), (1.3, 1.85)], GREEN)
    axis.text(
        4.6, 0.3, "at this step, projected", size=SMALL, color=GREEN, ha="center", va="bottom"
    )
    _route(axis, [(6.7, 4.43), (6.7, 4.75), (5.8, 4.75), (5.8, 4.43)], ORANGE)
    above = "the weighting of the step before\n(a read head too)"
    axis.text(6.25, 4.85, above, size=SMALL, color=ORANGE, ha="center", va="bottom")
    canvas.save(figure, HERE / "machine", ["svg"])


def _box(axis: Axes, corner: Point, size: Point, name: str, note: str, colour: str) -> None:
    box = FancyBboxPatch(
        corner, *size, boxstyle="round,pad=0.03", facecolor="white", edgecolor=colour, linewidth=2
    )
    axis.add_patch(box)
    x, y = corner[0] + size[0] / 2, corner[1] + size[1]
    axis.text(x, y - 0.15, name, size=TEXT, color=colour, ha="center", va="top", weight="bold")
    axis.text(x, y - 0.55, note, size=SMALL, ha="center", va="top", linespacing=1.4)


def _memory(axis: Axes, corner: Point, size: Point) -> None:
    rows = np.random.default_rng(0).random((9, 6))
    rows[5:] = 0.55  # not written yet
    (x, y), (width, height) = corner, size
    axis.imshow(
        rows[::-1], extent=(x, x + width, y, y + height), cmap="gray", vmin=0, vmax=1, aspect="auto"
    )
    axis.text(x + width / 2, y + height + 0.35, "memory", size=TEXT, ha="center", weight="bold")
    axis.text(x + width / 2, y + height + 0.1, "N rows of M numbers", size=SMALL, ha="center")
    for place, colour in ((1, BLUE), (4, ORANGE)):
        edge = y + height * place / 9
        axis.plot([x, x + width], [edge] * 2, color=colour, linewidth=2.5)
        axis.plot([x, x + width], [edge + height / 9] * 2, color=colour, linewidth=2.5)


def _arrow(axis: Axes, start: Point, end: Point, name: str, colour: str) -> None:
    axis.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=18, color=colour, linewidth=2)
    )
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    axis.text(x, y + 0.1, name, size=SMALL, color=colour, ha="center", va="bottom")


def _route(axis: Axes, corners: list[Point], colour: str) -> None:
    """A line through corners, with an arrow head at its end."""
    axis.plot(*zip(*corners[:-1], strict=True), color=colour, linewidth=1.8)
    start, end = corners[-2:]
    axis.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=16, color=colour, linewidth=1.8,
            shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
