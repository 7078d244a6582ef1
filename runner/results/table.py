"""Tables for people, aligned as they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def markdown(frame: pd.DataFrame) -> str:
    """A table as Markdown, without its index."""
    cells = [[cell(name) for name in frame.columns]]
    cells += [[cell(value) for value in row] for row in frame.itertuples(index=False)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [cells[0], ["-" * width for width in widths], *cells[1:]]
    return "\n".join(
        f"| {' | '.join(text.ljust(width) for text, width in zip(line, widths, strict=True))} |"
        for line in lines
    )


def cell(value: Any) -> str:
    """A value as text for one cell: four digits of a number, or its whole part; else nothing."""
    if value is None or value != value:  # not a number
        return ""
    text = str(value)
    if isinstance(value, float):
        text = f"{value:.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"
    return text.replace("|", "\\|").replace("\n", " ")
