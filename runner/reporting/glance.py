"""A small picture of the heads, for TensorBoard's list of images and its slider over the steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from runner.reporting.canvas import new_figure
from runner.reporting.figures import row_window

WIDTH, HEIGHT, TEXT = 4.4, 2.6, 15  # inches, points: TensorBoard shows it at a third of its size
THRESHOLD = 0.1  # weight from which a memory row counts as used


def heads_glance(trace: Mapping[str, np.ndarray], title: str) -> Figure:
    """Where the heads write and read over time, all heads of a kind in one panel.

    Args:
        trace: `write_weights` (T, W, N) and `read_weights` (T, R, N) of one sequence.
        title: one short line, such as the step and the wrong bits.
    """
    weightings = {"writes": trace["write_weights"], "reads": trace["read_weights"]}
    rows = row_window(list(weightings.values()), THRESHOLD)
    figure = new_figure(WIDTH, HEIGHT)
    for axis, (name, weights) in zip(figure.subplots(1, 2), weightings.items(), strict=True):
        axis.imshow(
            weights.max(axis=1)[:, rows].T,
            aspect="auto",
            origin="lower",
            cmap="gray",
            vmin=0.0,
            vmax=1.0,
            interpolation="nearest",
        )
        axis.set(xticks=[], yticks=[])
        axis.set_xlabel(name, fontsize=TEXT)
    figure.supylabel(f"{len(rows)} of {trace['write_weights'].shape[2]} rows", fontsize=TEXT - 3)
    figure.suptitle(title, fontsize=TEXT)
    return figure
