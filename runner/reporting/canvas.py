"""What all figures share: a figure of its own, its style, its title and caption, its PNG file.

A figure has no pyplot and no global state: nothing stays in memory when the caller drops it. Lines
use the palette of Okabe and Ito, whose colours stay apart for the colour-blind.
"""

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from runner.store.files import replace_with

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 16, 13, 11
DPI = 100


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, that no pyplot keeps."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def finish(figure: Figure, title: str, caption: str) -> Figure:
    """The figure with its title above and its caption below."""
    figure.suptitle(title, fontsize=TITLE_SIZE)
    figure.supxlabel(caption, fontsize=LABEL_SIZE, color="#333333")
    return figure


def join(notes: Sequence[str], width: int = 1000) -> str:
    """The notes on as few lines of about `width` characters as they fit on."""
    lines: list[str] = []
    for note in filter(None, notes):
        if lines and len(lines[-1]) + len(note) < width:
            lines[-1] += f"; {note}"
        else:
            lines.append(note)
    return "\n".join(lines)


def legend(axis: Axes, above: bool = False) -> None:
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


def to_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # `savefig` would draw everything twice
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> bytes:
    """Writes the figure as a PNG file, whole or not at all, and returns what the file holds."""
    png = to_png(figure)
    with replace_with(path) as temporary:
        temporary.write_bytes(png)
    return png
