"""What all figures share: a figure of its own, its title and caption, its style, its files.

A figure has no pyplot and no global state: nothing stays in memory when the caller drops it. Lines
use the palette of Okabe and Ito, whose colours stay apart for the colour-blind.

Figures are drawn for a screen. The style of papers is made of a finished one, see `for_paper`.
"""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from runner.store.files import replace_with

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 16, 13, 11
DPI = 100
SMALLEST_LEGEND, MOST_OF_HEIGHT = 7, 0.4  # a font size, and the share a legend above may take
CHARACTER = 0.6  # its usual width, as a share of the font size
# In papers: inches of a column and of both, the figure that takes both, sizes of fonts and lines.
COLUMN, BOTH_COLUMNS, WIDE = 3.4, 7.0, 11.0
PAPER_LABEL_SIZE, PAPER_TICK_SIZE, PAPER_LINES = 8, 7, 0.55
PAPER_HEIGHT = 1.15  # relative to its width, since labels shrink less than what they are beside
PAPER_DPI = 300
ABOVE = "legend-above"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, that no pyplot keeps."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def finish(figure: Figure, title: str, caption: str) -> Figure:
    """The figure with its title above and its caption below."""
    title = "\n".join(_wrapped([title], _characters(figure, TITLE_SIZE)))
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


def legend(axis: Axes, above: bool = False, size: float = LABEL_SIZE - 1, title: str = "") -> None:
    """A legend where it hides least, or above everything where there is too much to hide.

    Long labels are broken into lines, and set in smaller type where the legend would else take
    more than its share of the figure, which keeps its size.
    """
    handles, labels = axis.get_legend_handles_labels()
    figure = axis.get_figure(root=True)
    assert figure is not None
    if not above:
        labels = _wrapped(labels, _characters(figure, size) // 2)
        axis.legend(handles, labels, fontsize=size, framealpha=0.9)
        return
    most = MOST_OF_HEIGHT * figure.get_figheight() * 72
    columns, wrapped, height = _laid_out(figure, labels, size)
    while height > most and size > SMALLEST_LEGEND:
        size -= 1
        columns, wrapped, height = _laid_out(figure, labels, size)
    made = axis.legend(
        handles,
        wrapped,
        fontsize=size,
        title=title,
        title_fontsize=size,
        frameon=False,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=columns,
    )
    made.set_gid(ABOVE)


def _laid_out(figure: Figure, labels: Sequence[str], size: float) -> tuple[int, list[str], float]:
    """Columns of a legend as wide as the figure, its labels in lines, its height in points."""
    across = _characters(figure, size) - 6
    wrapped = _wrapped(labels, across)
    longest = max(len(line) for label in wrapped for line in label.split("\n"))
    columns = max(1, min(len(labels), across // (longest + 6)))
    lines = sum(label.count("\n") + 1 for label in wrapped)
    return columns, wrapped, 1.5 * size * lines / columns


def _wrapped(labels: Sequence[str], width: int) -> list[str]:
    return ["\n".join(textwrap.wrap(label, max(width, 8))) for label in labels]


def _characters(figure: Figure, size: float) -> int:
    """About how many characters of a font size lie beside each other on the figure."""
    return int(figure.get_figwidth() * 72 / (CHARACTER * size))


def for_paper(figure: Figure) -> Figure:
    """The figure as wide as a column of a paper, or as two, without title and caption.

    Changes the figure itself. What its title and its caption said belongs into the paper's text.
    """
    width, height = figure.get_size_inches()
    column = BOTH_COLUMNS if width > WIDE else COLUMN
    figure.set_size_inches(column, height * column / width * PAPER_HEIGHT)
    for text in (figure.suptitle(""), figure.supxlabel("")):
        text.set_in_layout(False)
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        small = float(text.get_fontsize()) < LABEL_SIZE
        text.set_fontsize(PAPER_TICK_SIZE if small else PAPER_LABEL_SIZE)
    for axis in figure.axes:
        axis.tick_params(labelsize=PAPER_TICK_SIZE, length=2, width=0.5, pad=2)
        for spine in axis.spines.values():
            spine.set_linewidth(0.5)
    for line in (line for axis in figure.axes for line in axis.lines):
        line.set_linewidth(PAPER_LINES * line.get_linewidth())
        line.set_markersize(PAPER_LINES * line.get_markersize())
    for lines in figure.findobj(LineCollection):
        assert isinstance(lines, LineCollection)
        lines.set_linewidth((PAPER_LINES * np.asarray(lines.get_linewidth())).tolist())
    for axis in figure.axes:  # Legends copy the lines.
        shown = axis.get_legend()
        if shown is not None:
            title = shown.get_title().get_text()
            legend(axis, shown.get_gid() == ABOVE, PAPER_TICK_SIZE, title)
    return figure


def to_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # `savefig` would draw everything twice
    return buffer.getvalue()


def save(
    figure: Figure, path: Path, formats: Sequence[str] = ("png",), style: str = "screen"
) -> bytes:
    """Writes the figure beside `path` in each format, its ending, each file whole or not at all.

    formats, style: as in `runner.config.schema.Figures`. The style of papers changes the figure.

    Returns:
        The figure as it is on a screen, the bytes of a PNG file.
    """
    png = to_png(figure)
    title = figure.get_suptitle()
    if style == "paper":
        for_paper(figure)
    for ending in formats:
        on_screen = ending == "png" and style == "screen"
        content = png if on_screen else _drawn(figure, ending, title)
        with replace_with(path.with_suffix(f".{ending}")) as temporary:
            temporary.write_bytes(content)
    return png


def _drawn(figure: Figure, ending: str, title: str) -> bytes:
    """The figure in a format; the same figure gives the same bytes, and a PDF text that is text."""
    buffer = io.BytesIO()
    undated = {"pdf": "CreationDate", "svg": "Date"}
    said = {"Title": title} | ({undated[ending]: None} if ending in undated else {})
    with rc_context({"pdf.fonttype": 42, "svg.hashsalt": "ntm"}):
        figure.savefig(buffer, format=ending, dpi=PAPER_DPI, metadata=said)
    return buffer.getvalue()
