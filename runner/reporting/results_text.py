"""The results of an evaluation as text: a table of its cases, and the breakdown of one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np
import rich
from rich.box import ASCII, ROUNDED
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

HEADINGS = {
    "bit_errors_per_sequence": "bit errors\na sequence",
    "bit_accuracy": "bits\nright",
    "sequences_correct": "sequences\nright",
    "loss_bits_per_sequence": "loss, bits\na sequence",
}
SHARES = ("bit_accuracy", "sequences_correct")  # between 0 and 1, shown in percent
PLAIN_WIDTH = 1000
MOST_VALUES, VALUES_A_LINE = 120, 10


def print_results(
    results: Mapping[str, Mapping[str, Any]], title: str, console: Console | None = None
) -> None:
    """Prints a table of the cases, one row a case, one column a number."""
    console = console or rich.get_console()
    metrics = list(
        dict.fromkeys(
            name
            for summary in results.values()
            for name, value in summary.items()
            if isinstance(value, Real)
        )
    )
    table = Table(title=title, title_justify="left", box=ROUNDED if console.is_terminal else ASCII)
    table.add_column("case", no_wrap=True)
    for name in metrics:
        table.add_column(HEADINGS.get(name, _heading(name)), justify="right")
    for case, summary in results.items():
        table.add_row(case, *(_cell(name, summary.get(name)) for name in metrics))
    if console.is_terminal:
        console.print(table)
    else:  # as wide as it must be: a file has no width
        wide = console.options.update(width=PLAIN_WIDTH)
        needed = wide.update(width=Measurement.get(console, wide, table).maximum)
        text = "".join(segment.text for segment in console.render(table, needed))
        lines = "\n".join(line.rstrip() for line in text.splitlines())
        # At once: a notebook frames whatever is printed at a time.
        console.print(lines, markup=False, highlight=False, soft_wrap=True)


def breakdown_text(case: str, summary: Mapping[str, Any]) -> str:
    """The two arrays of `breakdown` as short lines of percentages, counted from 1."""
    return "\n".join(
        [
            f"{case}: percent right by output bit",
            *_numbered_lines(summary["accuracy_by_bit"]),
            f"{case}: percent right by position",
            *_numbered_lines(summary["accuracy_by_position"]),
        ]
    )


def _numbered_lines(shares: np.ndarray) -> Iterator[str]:
    """Ten values a line; many positions are averaged in blocks, which the numbers show."""
    block = math.ceil(len(shares) / MOST_VALUES)
    values = [
        float(np.mean(shares[start : start + block])) for start in range(0, len(shares), block)
    ]
    for start in range(0, len(values), VALUES_A_LINE):
        line = values[start : start + VALUES_A_LINE]
        first, last = start * block + 1, min((start + len(line)) * block, len(shares))
        yield f"  {f'{first}-{last}':>9}  " + " ".join(f"{_percent(value):>5}" for value in line)


def _percent(share: float, digits: int = 1) -> str:
    """Rounded down, so that only a faultless result shows as 100."""
    if not math.isfinite(share):
        return "-"
    scale = 10**digits
    floor = math.floor(100 * share * scale + 1e-6) / scale
    return "100" if floor >= 100 else f"{floor:.{digits}f}"


def short(value: float) -> str:
    """A number in three digits, two if it is small."""
    return f"{value:.2g}" if abs(value) < 0.1 else f"{value:.3g}"


def _cell(name: str, value: Any) -> str:
    if not isinstance(value, Real):
        return "-"
    return f"{_percent(float(value), 2)} %" if name in SHARES else f"{float(value):.3g}"


def _heading(name: str) -> str:
    """`excess_bits_per_sequence` on two lines, as the task names it."""
    words = name.removesuffix("_per_sequence").replace("_after_", "\nafter ").replace("_", " ")
    return f"{words}\na sequence" if name.endswith("_per_sequence") else words
