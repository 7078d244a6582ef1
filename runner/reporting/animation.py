"""The heads at work, as a GIF: the memory step by step, between what writes and what reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from runner.reporting.canvas import LABEL_SIZE, PALETTE, TICK_SIZE, finish, new_figure
from runner.reporting.figures import row_ticks, row_window
from runner.store.files import replace_with

FRAMES_A_SECOND = 4
HELD = 6  # frames of the last step, before it begins again
DPI = 70
WRITING, READING = PALETTE[1], PALETTE[0]
NOT_YET = "#DDE6EE"


def save(
    trace: Mapping[str, np.ndarray],
    path: Path,
    title: str,
    threshold: float = 0.1,
    boundaries: Sequence[int] = (),
) -> None:
    """Writes an animation of one sequence, a frame a time step, as a GIF, whole or not at all.

    Args:
        trace: as in `runner.reporting.figures.heads_figure`, and `memory` (T, N, M) after each
            step.
        path: of the file.
        title: the task, the model, the case.
        threshold: the weight from which a memory row counts as used; only those are shown.
        boundaries: time steps at which a phase of the task begins, marked by a line.
    """
    scene = Scene(trace, title, threshold, boundaries)
    writer = PillowWriter(fps=FRAMES_A_SECOND)
    steps = len(trace["inputs"])
    with replace_with(path) as temporary, writer.saving(scene.figure, str(temporary), DPI):
        for step in [*range(steps), *[steps - 1] * HELD]:
            scene.show(step)
            writer.grab_frame()


class Scene:
    """A figure of the machine at one step, which can be moved to another.

    On top what comes in and goes out, up to this step. Below the memory, left of it how strongly
    each write head writes to its rows, right of it how strongly each read head reads them.
    """

    def __init__(
        self,
        trace: Mapping[str, np.ndarray],
        title: str,
        threshold: float,
        boundaries: Sequence[int],
    ) -> None:
        self._trace = trace
        writes, reads = trace["write_weights"], trace["read_weights"]
        self._rows = row_window((writes, reads), threshold)
        self.figure = new_figure(11.0, 3.4 + float(np.clip(0.14 * len(self._rows), 1.6, 4.2)))
        above, below = np.asarray(self.figure.subfigures(2, 1, height_ratios=[1, 2]))
        self._over_time = [
            _over_time(axis, trace[name], name, boundaries)
            for axis, name in zip(above.subplots(1, 2), ("inputs", "outputs"), strict=True)
        ]
        heads, columns = (writes.shape[1], reads.shape[1]), trace["memory"].shape[2]
        widths = [2 + heads[0], 4 + columns, 2 + heads[1]]
        left, middle, right = below.subplots(1, 3, sharey=True, width_ratios=widths)
        self._write = _strips(left, len(self._rows), heads[0], WRITING, "writing")
        memory = trace["memory"][:, self._rows]
        self._memory = _image(middle, (len(self._rows), columns), "gray")
        self._memory.set_clim(*np.quantile(memory, (0.005, 0.995)))
        middle.set_title("memory", fontsize=LABEL_SIZE)
        middle.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        self._read = _strips(right, len(self._rows), heads[1], READING, "reading")
        left.set_ylabel("memory row", fontsize=LABEL_SIZE)
        row_ticks(left, self._rows)
        finish(self.figure, title, " ")
        self.show(0)
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")  # Frames must not move.

    def show(self, step: int) -> None:
        """Moves the figure to a time step."""
        trace, rows = self._trace, self._rows
        for image, name in zip(self._over_time, ("inputs", "outputs"), strict=True):
            seen = np.ma.array(trace[name].T, mask=np.zeros(trace[name].T.shape, bool))
            seen[:, step + 1 :] = np.ma.masked
            image.set_data(seen)
        self._write.set_data(trace["write_weights"][step][:, rows].T)
        self._read.set_data(trace["read_weights"][step][:, rows].T)
        self._memory.set_data(trace["memory"][step][rows])
        self.figure.supxlabel(
            f"step {step + 1} of {len(trace['inputs'])}", fontsize=LABEL_SIZE, color="#333333"
        )


def _over_time(axis: Axes, values: np.ndarray, name: str, boundaries: Sequence[int]) -> AxesImage:
    image = _image(axis, values.T.shape, "gray")
    image.set_clim(min(0.0, float(values.min())), max(1.0, float(values.max())))
    image.cmap = image.get_cmap().with_extremes(bad=NOT_YET)
    axis.set_title(name, fontsize=LABEL_SIZE)
    axis.set_yticks([])
    for step in boundaries:
        axis.axvline(step - 0.5, color=PALETTE[5], linewidth=1.2, linestyle="--")
    return image


def _strips(axis: Axes, rows: int, heads: int, colour: str, name: str) -> AxesImage:
    """A column a head, whose cells are the weights of the rows."""
    colours = LinearSegmentedColormap.from_list(name, ["#FFFFFF", colour])
    image = _image(axis, (rows, heads), colours)
    image.set_clim(0.0, 1.0)
    axis.set_title(name, fontsize=LABEL_SIZE, color=colour)
    axis.set_xticks(range(heads), [str(head + 1) for head in range(heads)] if heads > 1 else [""])
    return image


def _image(axis: Axes, shape: tuple[int, ...], colours: str | LinearSegmentedColormap) -> AxesImage:
    axis.tick_params(labelsize=TICK_SIZE)
    return axis.imshow(
        np.zeros(shape), aspect="auto", origin="lower", cmap=colours, interpolation="nearest"
    )
